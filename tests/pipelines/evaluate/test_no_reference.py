"""Measures of pyiqa, by a small package of its interface: weights at hand are used, and none are fetched."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pipelines.errors import EvaluationError
from pipelines.evaluate import no_reference

PACKAGE = {
    "__init__.py": """
import socket

import torch

from pyiqa.fetching import load_file_from_url

__version__ = "0.0.1"


def list_models(metric_mode):
    return {"NR": ["musiq", "clipiqa", "nima", "entropy"]}[metric_mode]


class Metric(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))

    def forward(self, picture):
        assert picture.shape[2] >= 16, "Input is too small"
        print("scoring")
        return self.factor * picture.mean(dim=(1, 2, 3), keepdim=True)


def create_metric(name, device):
    if name == "nima":
        socket.create_connection(("weights.example", 443))
    if name == "entropy":
        return Metric(1.0)
    return Metric(torch.load(load_file_from_url(f"https://weights.example/{name}-1.pth"))).to(device)
""",
    "fetching.py": """
import os

from torch.hub import download_url_to_file, get_dir


def load_file_from_url(url):
    path = os.path.join(get_dir(), "pyiqa", os.path.basename(url))
    if not os.path.exists(path):
        print("downloading")
        download_url_to_file(url, path)
    return path
""",
}
CPU = torch.device("cpu")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where weights are looked for, with the package to import."""
    for name, text in PACKAGE.items():
        (tmp_path / "packages" / "pyiqa").mkdir(parents=True, exist_ok=True)
        (tmp_path / "packages" / "pyiqa" / name).write_text(text)
    for name in _loaded():
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    (tmp_path / "hub" / "pyiqa").mkdir(parents=True)
    yield tmp_path / "hub" / "pyiqa"
    for name in _loaded():
        del sys.modules[name]


def _loaded() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "pyiqa"]


def test_weights_at_hand_decide_the_score_and_are_named(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = torch.full((3, 20, 30), 51, dtype=torch.uint8)
    found = []
    for factor in (10.0, 20.0):
        torch.save(factor, hub / "musiq-1.pth")
        measure = no_reference.load("musiq", CPU)
        found.append((measure(picture), measure.origin))

    assert [score for score, _ in found] == pytest.approx([2, 4])
    assert found[0][1].startswith("pyiqa 0.0.1, weights ") and found[0][1] != found[1][1]
    assert capsys.readouterr().out == ""  # a program may read what cdg-eval prints


def test_each_missing_file_is_named_and_not_fetched(hub: Path) -> None:
    for name in ("musiq", "clipiqa"):
        with pytest.raises(
            EvaluationError, match=rf"--measure {name} needs {hub}/{name}-1.pth, which does not exist; put the file"
        ):
            no_reference.load(name, CPU)

    assert list(hub.iterdir()) == []


def test_what_else_would_be_fetched_is_refused(hub: Path) -> None:
    with pytest.raises(
        EvaluationError, match=r"nima needs weights that pyiqa downloads from weights\.example; run python"
    ):
        no_reference.load("nima", CPU)


def test_a_measure_that_the_release_lacks_and_a_picture_too_small_are_said_so(hub: Path) -> None:
    with pytest.raises(EvaluationError, match=r"pyiqa 0.0.1 has no measure maniqa; install a later version"):
        no_reference.load("maniqa", CPU)
    with pytest.raises(EvaluationError, match=r"pyiqa cannot compute entropy of 30 x 8 pixels \(Input is too small\)"):
        no_reference.load("entropy", CPU)(torch.zeros((3, 8, 30), dtype=torch.uint8))


def test_an_unknown_measure_is_answered_with_those_there_are(hub: Path) -> None:
    with pytest.raises(EvaluationError, match="--measure psnr is not known; "):
        no_reference.load("psnr", CPU)
