"""LPIPS: weights that are at hand, and none that are fetched."""

from pathlib import Path

import pytest
import torch
from torchvision.models import AlexNet_Weights, alexnet

from pipelines.errors import EvaluationError
from pipelines.evaluate.lpips import LPIPS


def test_missing_weights_are_named_and_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(EvaluationError, match=r"needs AlexNet's weights, and .*alexnet.* does not exist; put the file"):
        LPIPS(torch.device("cpu"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torchmetrics, about torchvision
def test_the_weights_at_hand_decide_the_distance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchmetrics", reason="pip install 'cdgnet[lpips]'")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.manual_seed(0)
    name = AlexNet_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    torch.save(alexnet().state_dict(), tmp_path / "checkpoints" / name)
    distance = LPIPS(torch.device("cpu"))
    sharp = torch.randint(0, 256, (3, 64, 80), dtype=torch.uint8)
    near, far = ((sharp.float() + scale * torch.randn(3, 64, 80)).clamp(0, 255).byte() for scale in (5, 80))
    assert distance(sharp, sharp) == 0
    assert 0 < distance(near, sharp) < distance(far, sharp)
