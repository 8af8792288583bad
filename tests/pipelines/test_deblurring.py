"""Pictures in, the same out."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cdgnet import CDGNet, ModelConfig
from pipelines import deblurring
from prep import frames

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def identity() -> CDGNet:
    """A new residual network gives its input back, so what changes a picture is our handling."""
    return CDGNet(ModelConfig.preset("tiny")).eval()


@pytest.mark.parametrize("shape", [(17, 23, 3), (31, 16, 4), (20, 21)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_size_depth_grey_and_alpha_are_kept(identity: CDGNet, shape: tuple[int, ...], kind: type) -> None:
    picture = RNG.integers(0, np.iinfo(kind).max, shape).astype(kind)

    restored = deblurring.restore(picture, identity, CPU)

    assert (restored.shape, restored.dtype) == (picture.shape, picture.dtype)
    assert np.abs(restored.astype(int) - picture).max() <= (1 if kind is np.uint16 else 0)  # float32 has 24 bits


def test_folders_keep_their_structure(identity: CDGNet, tmp_path: Path) -> None:
    picture = RNG.integers(0, 256, (20, 24, 3)).astype(np.uint8)
    for name in ("in/a.png", "in/deep/b.bmp", "photo.png"):
        frames.write(tmp_path / name, picture)
    (tmp_path / "in" / "notes.txt").write_text("")

    jobs = deblurring.plan([tmp_path / "in", tmp_path / "photo.png"], tmp_path / "out")
    outcomes = list(deblurring.deblur(jobs, identity, CPU))

    assert not any(outcome.fault for outcome in outcomes)
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["a.png", "deep/b.bmp", "photo.png"]
    assert np.array_equal(frames.read(tmp_path / "out" / "deep" / "b.bmp"), picture)


def test_a_bad_picture_is_named_and_the_others_are_done(identity: CDGNet, tmp_path: Path) -> None:
    frames.write(tmp_path / "in" / "a.png", np.zeros((8, 40), np.uint8))
    (tmp_path / "in" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    frames.write(tmp_path / "in" / "c.png", np.zeros((16, 16), np.uint8))

    outcomes = list(deblurring.deblur(deblurring.plan([tmp_path / "in"], tmp_path / "out"), identity, CPU))

    assert "smaller than 16 x 16" in outcomes[0].fault
    assert "cut short" in outcomes[1].fault
    assert outcomes[2].fault == ""
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["c.png"]


def test_two_pictures_never_share_a_target(tmp_path: Path) -> None:
    for name in ("one/a.png", "two/a.png"):
        frames.write(tmp_path / name, np.zeros((16, 16), np.uint8))

    with pytest.raises(deblurring.InputError, match="would both become"):
        deblurring.plan([tmp_path / "one", tmp_path / "two"], tmp_path / "out")


def test_a_picture_never_replaces_itself(tmp_path: Path) -> None:
    frames.write(tmp_path / "a.png", np.zeros((16, 16), np.uint8))

    with pytest.raises(deblurring.InputError, match="replaced by its own result"):
        deblurring.plan([tmp_path], tmp_path)


def test_missing_and_empty_inputs_are_named(tmp_path: Path) -> None:
    with pytest.raises(deblurring.InputError, match="is not there"):
        deblurring.plan([tmp_path / "x.png"], tmp_path / "out")
    with pytest.raises(deblurring.InputError, match="holds no picture"):
        deblurring.plan([tmp_path], tmp_path / "out")
