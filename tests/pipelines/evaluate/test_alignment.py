"""RealBlur's protocol: aligned scores against a second implementation of its authors' procedure."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from commands import call, mistake
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from wrong_pairs import noisy, picture, shifted, smeared

from pipelines.evaluate import alignment
from pipelines.evaluate.frame_sources import EvaluationFrame
from pipelines.packs import to_tensor
from prep.arrays import Bytes
from prep.io import frames

SHARP = picture("coffee")[60:220, 150:350]


def measured(restored: Bytes, blurry: Bytes | None = None) -> dict[str, float]:
    frame = EvaluationFrame(
        key="a", sharp=to_tensor(SHARP), blurry=None if blurry is None else to_tensor(blurry), mask=None
    )
    return dict(alignment.measure_aligned(frame, to_tensor(restored)))


def by_hand(restored: Bytes) -> tuple[float, float]:
    """PSNR and SSIM step by step, by numpy, OpenCV and scikit-image: the frame is warped pixel by pixel here."""
    x, z = SHARP.astype(np.float32) / 255, restored.astype(np.float32) / 255
    z = (x * z).sum() / (z * z).sum() * z
    grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (x, z)]
    everywhere = np.full(grey[0].shape, 255, np.uint8)
    _, matrix = cv2.findTransformECC(
        *grey, np.eye(3, dtype=np.float32), cv2.MOTION_HOMOGRAPHY, (3, 100, 0), everywhere, 5
    )
    height, width = grey[0].shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    points = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ matrix.T.astype(np.float64)
    u, v = (points[..., axis] / points[..., 2] for axis in (0, 1))
    moved = cv2.remap(z, u.astype(np.float32), v.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    inside = (np.rint(u) >= 0) & (np.rint(u) < width) & (np.rint(v) >= 0) & (np.rint(v) < height)
    valid = np.repeat(inside[..., None], 3, axis=2).astype(np.float64)
    one, other = x * valid, moved * valid
    psnr = 10 * np.log10(valid.sum() / ((one - other) ** 2).sum())
    _, likeness = structural_similarity(
        one, other, channel_axis=2, gaussian_weights=True, use_sample_covariance=False, data_range=1.0, full=True
    )
    inner = np.s_[5:-5, 5:-5]
    ssim = ((likeness * valid)[inner].sum((0, 1)) / valid[inner].sum((0, 1))).mean()
    return float(psnr), float(ssim)


def warped(frame: Bytes, matrix: list[list[float]]) -> Bytes:
    size = (frame.shape[1], frame.shape[0])
    moved = cv2.warpPerspective(frame, np.array(matrix), size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


RESTORED = {
    "blurred": smeared(SHARP, 6),
    "shifted, blurred and darker": np.rint(0.9 * shifted(smeared(SHARP, 5), 3, -2)).astype(np.uint8),
    "turned and tilted": warped(noisy(SHARP, 5), [[1.01, 0.012, -2.0], [-0.008, 0.995, 1.5], [2e-5, -1e-5, 1.0]]),
}


@pytest.mark.parametrize("kind", RESTORED)
def test_aligned_scores_are_those_of_the_authors_procedure(kind: str) -> None:
    scores = measured(RESTORED[kind])

    psnr, ssim = by_hand(RESTORED[kind])
    assert scores["unaligned"] == 0
    assert scores["psnr"] == pytest.approx(psnr, abs=0.02)  # two interpolators of one kernel
    assert scores["ssim"] == pytest.approx(ssim, abs=5e-4)


def test_a_shift_by_a_pixel_is_undone_and_blurry_and_restored_are_aligned_each_on_its_own() -> None:
    blurry = smeared(SHARP, 6)

    scores = measured(restored=shifted(SHARP, 1, 0), blurry=shifted(blurry, -2, 1))

    assert peak_signal_noise_ratio(SHARP, shifted(SHARP, 1, 0)) < 30 < 40 < scores["psnr"]
    there = peak_signal_noise_ratio(SHARP, shifted(blurry, -2, 1))
    assert there + 3 < scores["psnr_blurry"] == pytest.approx(measured(blurry)["psnr"], abs=1)  # less the edges


def test_a_homography_is_undone_and_only_pixels_that_the_picture_covers_count() -> None:
    matrix = [[1.02, 0.01, 4.0], [-0.01, 0.98, -3.0], [3e-5, 2e-5, 1.0]]

    aligned = alignment.align(*(each.astype(np.float32) / 255 for each in (warped(SHARP, matrix), SHARP)))

    size = (SHARP.shape[1], SHARP.shape[0])
    back = cv2.warpPerspective(
        warped(SHARP, matrix), np.array(matrix), size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    )
    inside = aligned.valid[..., 0] == 1
    undone = 10 * np.log10(255**2 / np.square(back[inside].astype(float) - SHARP[inside]).mean())
    share = aligned.valid.mean()
    assert 0.9 < share < 0.99
    assert set(np.unique(aligned.valid)) == {0.0, 1.0}
    assert not aligned.picture[aligned.valid == 0].any() and not aligned.sharp[aligned.valid == 0].any()
    assert alignment.masked_psnr(aligned) > undone - 3  # the mirrored edges pull at ECC


def test_a_picture_that_ecc_cannot_align_is_scored_as_it_lies_and_counted() -> None:
    black = np.zeros_like(SHARP)

    scores = measured(restored=black, blurry=smeared(SHARP, 4))

    assert scores["unaligned"] == 1
    error = np.square(SHARP.astype(float)).mean()
    assert scores["psnr"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for number in range(5):
        sharp = picture("coffee")[40 * number : 40 * number + 160, 100:300]
        blurry = shifted(smeared(sharp, 20, angle=number), 1, 0)
        for name, frame in (("sharp", sharp), ("blurry", blurry), ("theirs", shifted(sharp, 1, 0))):
            frames.write(tmp_path / name / f"{number}.png", frame)
    return tmp_path


ASKED = ("evaluate", "--restored", "theirs", "--sharp", "sharp", "--blurry", "blurry")


@pytest.mark.slow
def test_aligned_scores_have_a_folder_and_a_protocol_of_their_own(folders: Path) -> None:
    plain, aligned = (json.loads(call(folders, *ASKED, *words, "--json").stdout) for words in ((), ("--align",)))

    assert len(list((folders / "eval").iterdir())) == 2
    assert "aligned" not in plain["protocol"]
    assert "each picture aligned to its sharp frame before scoring, as RealBlur's authors do" in aligned["protocol"]
    assert set(aligned["legend"]) == {"psnr", "ssim"}
    assert aligned["mean"]["psnr"] > 40 > 30 > plain["mean"]["psnr"]
    assert not torch.tensor([row["unaligned"] for row in aligned["rows"]]).any()


@pytest.mark.slow
def test_aligned_and_plain_scores_are_never_mixed(folders: Path) -> None:
    call(folders, *ASKED, "--out", "plain")

    assert "contains scores made with other settings (align" in mistake(folders, *ASKED, "--align", "--out", "plain")
    line = mistake(folders, *ASKED, "--align", "--out", "aligned", "--against", "plain")
    assert "the frames of the earlier scores were not aligned" in line
    assert not (folders / "aligned").exists()
    assert "--align computes psnr and ssim only; leave out --lpips and --mu" in mistake(
        folders, *ASKED, "--align", "--lpips", "--mu", "0.9"
    )


@pytest.mark.slow
def test_blurry_frames_alone_are_aligned_too(folders: Path) -> None:
    done = call(folders, "evaluate", "--no-weights", "--sharp", "sharp", "--blurry", "blurry", "--align", "--json")

    answer = json.loads(done.stdout)
    assert set(answer["legend"]) == {"psnr", "ssim"}
    assert answer["protocol"].endswith("nothing else is scored; the blurry frames themselves")


@pytest.mark.slow
def test_frames_that_lie_off_are_said_to_with_what_it_costs_unless_blur_costs_more(folders: Path) -> None:
    plain, aligned = (call(folders, *ASKED, *words) for words in ((), ("--align",)))
    blurry = call(folders, "evaluate", "--no-weights", "--sharp", "sharp", "--blurry", "blurry")

    assert (
        "restored frames are shifted against their sharp ones by 1.0 pixels (median); undoing the shift of frame "
        in plain.stderr
    )
    assert "to 58.92 dB; --align aligns frames first" in plain.stderr
    assert "are shifted" not in aligned.stderr + blurry.stderr
