"""Pictures in, the same out."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

from cdgnet import CDGNet, ModelConfig
from pipelines.errors import InputError
from pipelines.restore import deblurring
from pipelines.restore.jobs import Outcome, RestoreSettings, plan_restore
from pipelines.restore.restorer import Restorer
from prep.io import frames, photographs
from prep.io.photographs import Photo

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def identity() -> Restorer:
    """A new residual network gives its input back, so what changes a picture is our handling."""
    return Restorer(CDGNet(ModelConfig.preset("tiny")), Fabric(accelerator="cpu", devices=1))


def deblur(inputs: list[Path], out: Path, restorer: Restorer, quality: int = 95, batch: int = 1) -> list[Outcome]:
    settings = RestoreSettings(quality=quality, batch=batch)
    return list(deblurring.deblur(plan_restore(inputs, out).jobs, restorer, settings))


def noise(*shape: int, kind: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ("colour.png", Photo(pixels=noise(17, 23, 3))),
        ("deep.png", Photo(pixels=noise(17, 23, 3, kind=np.uint16))),
        ("alpha.png", Photo(pixels=noise(31, 16, 4))),
        ("deep-alpha.tif", Photo(pixels=noise(31, 16, 4, kind=np.uint16))),
        ("grey.png", Photo(pixels=noise(20, 21))),
        ("deep-grey.tiff", Photo(pixels=noise(20, 21, kind=np.uint16))),
        ("grey-alpha.png", Photo(pixels=noise(20, 21, 2))),
        ("one.png", Photo(pixels=noise(1, 1, 3))),
        ("flat.bmp", Photo(pixels=noise(3, 50, 3))),
        ("lossless.webp", Photo(pixels=noise(20, 21, 3))),
    ],
)
def test_a_lossless_format_keeps_every_value(identity: Restorer, tmp_path: Path, name: str, photo: Photo) -> None:
    photographs.write(tmp_path / name, photo)

    (outcome,) = deblur([tmp_path / name], tmp_path / "out", identity)

    result = photographs.read(tmp_path / "out" / name).pixels
    assert outcome.fault == ""
    assert (result.shape, result.dtype) == (photo.pixels.shape, photo.pixels.dtype)
    assert np.abs(result.astype(int) - photo.pixels).max() <= (1 if result.dtype == np.uint16 else 0)


def test_a_turned_jpeg_is_restored_upright_and_keeps_its_quality(identity: Restorer, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth = np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)

    deblur([tmp_path / "a.jpg"], tmp_path / "out", identity, quality=100)

    with Image.open(tmp_path / "out" / "a.jpg") as result:
        assert result.size == (48, 64)
        assert result.getexif().get(0x0112) == 1
        assert np.abs(np.asarray(result).astype(int) - np.rot90(smooth, -1)).max() <= 6


def test_folders_keep_their_structure_and_name_what_is_no_picture(identity: Restorer, tmp_path: Path) -> None:
    picture = noise(20, 24, 3)
    for name in ("in/a.png", "in/deep/b.bmp", "photo.png", "in/.hidden.png"):
        frames.write(tmp_path / name, picture)
    (tmp_path / "in" / "notes.txt").write_text("")
    (tmp_path / "in" / "b.GIF").write_text("")

    plan = plan_restore([tmp_path / "in", tmp_path / "photo.png"], tmp_path / "out")
    outcomes = list(deblurring.deblur(plan.jobs, identity, RestoreSettings()))

    assert not any(outcome.fault for outcome in outcomes)
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["a.png", "deep/b.bmp", "photo.png"]
    assert np.array_equal(frames.read(tmp_path / "out" / "deep" / "b.bmp"), picture)
    assert plan.ignored == {".txt": 1, ".gif": 1}


def test_results_inside_the_folder_are_not_restored_again(tmp_path: Path) -> None:
    for name in ("a.png", "restored/a.png"):
        frames.write(tmp_path / name, noise(16, 16, 3))
    plan = plan_restore([tmp_path], tmp_path / "restored")
    assert [job.source.relative_to(tmp_path).as_posix() for job in plan.jobs] == ["a.png"]


def test_a_pattern_that_the_shell_did_not_expand_is_expanded(tmp_path: Path) -> None:
    for name in ("in/a.png", "in/deep/b.png", "in/c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    plan = plan_restore([tmp_path / "in" / "**" / "*"], tmp_path / "out")
    assert [job.source.name for job in plan.jobs] == ["a.png", "b.png"]
    assert plan.ignored == {".txt": 1}


def test_a_pattern_is_no_pattern_where_a_file_bears_its_name(tmp_path: Path) -> None:
    (tmp_path / "a[1].png").touch()
    assert len(plan_restore([tmp_path / "a[1].png"], tmp_path / "out").jobs) == 1


def test_a_bad_picture_is_named_and_the_others_are_done(identity: Restorer, tmp_path: Path) -> None:
    frames.write(tmp_path / "in" / "a.png", np.zeros((16, 16), np.uint8))
    (tmp_path / "in" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    (tmp_path / "in" / "c.jpg").write_text("a letter")
    (tmp_path / "in" / "d.mp4").write_text("no video")
    frames.write(tmp_path / "in" / "e.png", np.zeros((16, 16), np.uint8))

    outcomes = deblur([tmp_path / "in"], tmp_path / "out", identity)

    faults = {outcome.job.source.name: outcome.fault for outcome in outcomes}
    assert "b.png is not a readable picture" in faults["b.png"]
    assert "c.jpg is not a readable picture" in faults["c.jpg"]
    assert "d.mp4 cannot be read as a video" in faults["d.mp4"]
    assert faults["a.png"] == faults["e.png"] == ""
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == ["a.png", "e.png"]


def test_a_missing_file_and_one_of_another_kind_are_named_and_the_rest_is_planned(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Photographs")
    for name in ("b.png", ".hidden.mp4"):
        (tmp_path / name).touch()

    names = ("README.md", "a.png", "b.png", ".hidden.mp4", "*.webp")
    plan = plan_restore([tmp_path / name for name in names], tmp_path / "out")

    assert [(job.source.name, job.is_video) for job in plan.jobs] == [("b.png", False), (".hidden.mp4", True)]
    assert "README.md is not a supported picture or video; convert it to one of .png" in plan.faults[0]
    assert "a.png does not exist" in plan.faults[1]
    assert "no picture or video matches " in plan.faults[2]


def test_a_result_never_replaces_another_input(tmp_path: Path) -> None:
    for name in ("in/deep/a.png", "out/deep/a.png"):
        frames.write(tmp_path / name, np.zeros((16, 16), np.uint8))
    with pytest.raises(InputError, match=r"out/deep/a\.png would be replaced by the result of .*in/deep/a\.png"):
        plan_restore([tmp_path / "in", tmp_path / "out" / "deep" / "a.png"], tmp_path / "out")


def test_neighbours_of_one_size_are_restored_at_once_and_come_out_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = CDGNet(ModelConfig.preset("tiny"))
    assert network.fusion is not None
    for parameter in network.fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    restorer, seen = Restorer(network, Fabric(accelerator="cpu", devices=1)), []
    for number, size in enumerate([(20, 24), (20, 24), (24, 20), (20, 24), (20, 24), (20, 24)]):
        frames.write(tmp_path / "in" / f"{number}.png", noise(*size, 3))
    handle = network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))

    deblur([tmp_path / "in"], tmp_path / "several", restorer, batch=2)
    handle.remove()
    deblur([tmp_path / "in"], tmp_path / "single", restorer)

    assert seen == [2, 1, 2, 1]
    for path in (tmp_path / "single").iterdir():
        one, other = (frames.read(folder / path.name).astype(int) for folder in (path.parent, tmp_path / "several"))
        assert np.abs(one - other).max() <= 1  # sums of another batch, in another order


def test_of_two_pictures_with_one_target_the_first_is_restored_and_the_other_named(tmp_path: Path) -> None:
    for name in ("one/a.png", "two/a.png", "two/b.png"):
        frames.write(tmp_path / name, np.zeros((16, 16), np.uint8))

    plan = plan_restore([tmp_path / "one", tmp_path / "two"], tmp_path / "out")

    names = [job.source.relative_to(tmp_path).as_posix() for job in plan.jobs]
    assert names == ["one/a.png", "two/b.png"]
    (fault,) = plan.faults
    assert fault.startswith(f"{tmp_path}/two/a.png was left out, because {tmp_path}/out/a.png is the result of ")


def test_a_gif_is_told_what_to_become_and_comparisons_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    for name in ("b.png", "b.png.compare.jpg"):
        frames.write(tmp_path / "in" / name, np.zeros((16, 16, 3), np.uint8))

    plan = plan_restore([tmp_path / "a.gif", tmp_path / "in"], tmp_path / "out")

    assert plan.faults[0].endswith("a.gif: GIF is not supported; convert it to PNG, or to MP4 if it is animated")
    assert plan.ignored == {".compare.jpg": 1} and len(plan.jobs) == 1


def test_a_picture_never_replaces_itself(tmp_path: Path) -> None:
    frames.write(tmp_path / "a.png", np.zeros((16, 16), np.uint8))

    with pytest.raises(InputError, match="replaced by its own result"):
        plan_restore([tmp_path / "a.png"], tmp_path)


def test_missing_and_empty_inputs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        plan_restore([tmp_path / "x.png"], tmp_path / "out")
    with pytest.raises(InputError, match="contains no picture or video"):
        plan_restore([tmp_path], tmp_path / "out")
    with pytest.raises(InputError, match="no picture or video matches"):
        plan_restore([tmp_path / "*.png"], tmp_path / "out")


def test_a_folder_for_results_is_no_input_and_no_file(tmp_path: Path) -> None:
    frames.write(tmp_path / "in" / "a.png", np.zeros((16, 16), np.uint8))

    with pytest.raises(InputError, match=r"in is in the output folder, .*; pass other inputs, or use another --out"):
        plan_restore([tmp_path / "in"], tmp_path / "in")
    with pytest.raises(InputError, match=r"a\.png is a file; use --out with a folder"):
        plan_restore([tmp_path / "in"], tmp_path / "in" / "a.png")


@pytest.mark.slow
def test_a_photograph_of_48_megapixels_is_restored(tmp_path: Path) -> None:
    pixels = np.tile(noise(600, 800, 3), (10, 10, 1))
    photographs.write(tmp_path / "large.tif", Photo(pixels=pixels))
    narrow = CDGNet(replace(ModelConfig.preset("tiny", "dmphn-1"), widths=(2, 4, 8)))

    (outcome,) = deblur(
        [tmp_path / "large.tif"], tmp_path / "out", Restorer(narrow, Fabric(accelerator="cpu", devices=1))
    )

    assert outcome.fault == ""
    assert np.array_equal(photographs.read(tmp_path / "out" / "large.tif").pixels, pixels)


def test_tiles_of_pictures_restored_at_once_report_their_share(tmp_path: Path) -> None:
    network = CDGNet(ModelConfig.preset("tiny", "dmphn-1"))
    restorer = Restorer(network, Fabric(accelerator="cpu", devices=1), tile=128)
    for name in ("a.png", "b.png"):
        frames.write(tmp_path / name, noise(32, 400, 3))
    plan = plan_restore([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out")
    reported: list[float] = []

    list(deblurring.deblur(plan.jobs, restorer, RestoreSettings(batch=2), on_tile=reported.append))

    assert reported == pytest.approx([0.64, 1.28, 1.92, 2.0])


def test_a_picture_beyond_memory_is_named_and_the_next_is_restored(
    identity: Restorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, side in (("a.png", 64), ("b.png", 16)):
        frames.write(tmp_path / "in" / name, noise(side, side, 3))
    free = psutil.virtual_memory()._replace(available=100_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)

    outcomes = deblur([tmp_path / "in"], tmp_path / "out", identity)

    assert "a.png needs 246 kB of memory, and 100 kB are free" in outcomes[0].fault
    assert outcomes[1].fault == ""


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory"), torch.OutOfMemoryError()]
)
def test_memory_that_runs_out_in_the_network_ends_one_picture_and_not_the_folder(
    tmp_path: Path, error: Exception
) -> None:
    network = CDGNet(ModelConfig.preset("tiny", "dmphn-1"))
    restorer = Restorer(network, Fabric(accelerator="cpu", devices=1), tile=128)
    for name, side in (("a.png", 64), ("b.png", 16)):
        frames.write(tmp_path / "in" / name, noise(side, side, 3))

    def run_out(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].shape[-1] == 64:
            raise error

    network.register_forward_pre_hook(run_out)

    outcomes = deblur([tmp_path / "in"], tmp_path / "out", restorer)

    assert "a.png needs more memory than is free" in outcomes[0].fault
    assert outcomes[1].fault == ""


def test_metadata_that_cannot_be_written_end_one_picture_and_not_the_folder(identity: Restorer, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "x" * 70_000  # more than a JPEG holds; a PNG under the name of one
    (tmp_path / "in").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "in" / "a.jpg", "PNG", exif=exif)
    frames.write(tmp_path / "in" / "b.png", noise(16, 16, 3))

    outcomes = deblur([tmp_path / "in"], tmp_path / "out", identity)

    assert "a.jpg cannot be written: EXIF data is too long" in outcomes[0].fault
    assert outcomes[1].fault == ""


def test_maps_of_cdg_prep_in_a_folder_are_no_photographs(tmp_path: Path) -> None:
    for name in (
        "blur/1.png",
        "sharp/1.png",
        "extent/1.png",
        "m/1.sharpness.png",
        "m/1.mask.png",
        "photos/extent/2.png",
    ):
        frames.write(tmp_path / "in" / name, np.zeros((20, 20), np.uint16 if "extent" in name else np.uint8))
    plan = plan_restore([tmp_path / "in"], tmp_path / "out")
    names = [job.source.relative_to(tmp_path / "in").as_posix() for job in plan.jobs]
    assert names == ["blur/1.png", "photos/extent/2.png", "sharp/1.png"]
    assert plan.ignored == {"maps of cdg-prep": 3}


def test_a_link_to_itself_and_a_pipe_are_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe.png")
    frames.write(tmp_path / "a.png", np.zeros((20, 20), np.uint8))
    with pytest.raises(InputError, match="loop is a broken link; use --out with a folder"):
        plan_restore([tmp_path / "a.png"], tmp_path / "loop")
    with pytest.raises(InputError, match=r"pipe\.png is neither a file nor a folder; pass pictures"):
        plan_restore([tmp_path / "pipe.png"], tmp_path / "out")
