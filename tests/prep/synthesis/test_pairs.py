"""Pairs of recordings and of photographs: what is averaged, where it lies, resumed and refused."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from films import write_film
from strokes import HAND, THING

from prep.datasets import layouts
from prep.errors import SynthesisError
from prep.io import extents, frames
from prep.io.frames import read
from prep.synthesis import from_photos, from_recordings, output, recordings
from prep.synthesis.camera import Camera
from prep.synthesis.cameras import CAMERAS, NONE, PHONE
from prep.synthesis.outlines import Segments
from prep.synthesis.recipes import PhotoRecipe, RecordingRecipe
from prep.synthesis.response import GAMMA

SIZE = (96, 128)
PHOTOS = PhotoRecipe(count=2, size=SIZE, hand=HAND, thing=THING)


def shots(count: int) -> list[np.ndarray]:
    """A textured scene that goes two pixels a frame to the left."""
    scene = np.random.default_rng(0).integers(0, 256, (12, 60, 3)).astype(np.uint8)
    wide = np.kron(scene, np.ones((8, 8, 1), np.uint8))
    return [np.ascontiguousarray(wide[:, 2 * n : 2 * n + 128]) for n in range(count)]


def record(folder: Path, count: int, first: int = 1) -> Path:
    for number, pixels in enumerate(shots(count), first):
        frames.write(folder / f"{number:06}.png", pixels)
    return folder


def make(
    place: Path, out: Path, recipe: RecordingRecipe, test_share: float = 0.0, jobs: int = 1
) -> list[from_recordings.Clip]:
    recorded = recordings.find([place])
    splits = output.begin(out, recipe, [one.name for one in recorded if not one.split], test_share)
    surveys = list(recordings.survey(recorded, out / "survey", jobs))
    clips = from_recordings.plan(recorded, surveys, recipe, out, splits)
    assert len(list(from_recordings.make(clips, recipe, jobs))) == sum(len(clip.windows) for clip in clips)
    return clips


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("camera", [NONE, replace(NONE, response=GAMMA)])
def test_windows_are_averaged_about_their_middle_frame(tmp_path: Path, camera: Camera) -> None:
    every = shots(20)
    record(tmp_path / "raw", 20)

    make(tmp_path / "raw", tmp_path / "made", RecordingRecipe(shortest=9, longest=9, camera=camera))

    dataset = layouts.find(tmp_path / "made", variant=output.variant(camera))
    assert [pair.key for pair in dataset.pairs] == ["raw/000005", "raw/000014"]
    for pair, first in zip(dataset.pairs, (0, 9), strict=True):
        power = camera.response.power
        window = np.stack(every[first : first + 9]).astype(np.float64) / 255
        wanted = 255 * np.mean(window**power, axis=0) ** (1 / power)
        assert np.abs(read(pair.blurry) - wanted).max() <= 0.501
        assert np.array_equal(read(pair.sharp), every[first + 4])
        place = extents.find(pair.sharp)
        assert isinstance(place, Path)
        length = extents.to_pixels(frames.read_sharpness(place))[20:-20, 30:-30]
        assert np.nanmedian(np.abs(length - 2 * np.sqrt(80))) < 0.5  # 9 places, 2 pixels apart


def test_lengths_are_drawn_from_the_odd_numbers_and_windows_lie_end_to_end(tmp_path: Path) -> None:
    record(tmp_path / "GOPR0001_00_00", 120, first=30)

    (clip,) = make(tmp_path / "GOPR0001_00_00", tmp_path / "made", RecordingRecipe(seed=3))

    lengths = [len(window.frames) for window in clip.windows]
    assert set(lengths) == {7, 9, 11, 13}
    assert [frame for window in clip.windows for frame in window.frames] == list(range(sum(lengths)))
    assert 120 - sum(lengths) < 7
    first = clip.windows[0]
    assert first.name == f"{30 + len(first.frames) // 2:06}"
    (told,) = (tmp_path / "made" / "train" / "GOPR0001_00_00").glob("frames*.txt")
    assert told.name == "frames 7-13 offset 0.txt"
    lines = told.read_text().splitlines()
    assert lines[0] == f"{first.name}: {lengths[0]} frames, 30 to {29 + lengths[0]}"
    assert len(lines) == len(clip.windows)


def test_a_stride_lets_windows_overlap_or_leaves_frames_out(tmp_path: Path) -> None:
    record(tmp_path / "raw", 30)

    for stride, starts in ((4, range(0, 24, 4)), (12, (0, 12))):
        (clip,) = make(
            tmp_path / "raw", tmp_path / f"made{stride}", RecordingRecipe(shortest=7, longest=7, stride=stride)
        )
        assert [window.frames[0] for window in clip.windows] == list(starts)


def test_the_same_seed_makes_the_same_bytes_with_any_number_of_processes(tmp_path: Path) -> None:
    record(tmp_path / "raw", 60)
    recipe = RecordingRecipe(camera=replace(PHONE, jpeg=(60, 90)), seed=5)

    for name, jobs in (("one", 1), ("two", 2)):
        make(tmp_path / "raw", tmp_path / name, recipe, jobs=jobs)
    make(tmp_path / "raw", tmp_path / "other", replace(recipe, seed=6))

    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert contents(tmp_path / "one").keys() != contents(tmp_path / "other").keys()


def test_what_was_begun_is_gone_on_with_and_nothing_made_twice(tmp_path: Path) -> None:
    record(tmp_path / "raw", 40)
    recipe = RecordingRecipe(shortest=7, longest=7)
    (clip,) = make(tmp_path / "raw", tmp_path / "made", recipe)
    whole = contents(tmp_path / "made")
    killed = clip.folder / "blur" / f"{clip.windows[2].name}.png"
    killed.unlink()  # as if killed before it: its extent and sharp frame are there
    kept = clip.folder / "blur" / f"{clip.windows[1].name}.png"
    before = kept.stat().st_mtime_ns

    make(tmp_path / "raw", tmp_path / "made", recipe)

    assert contents(tmp_path / "made") == whole
    assert kept.stat().st_mtime_ns == before


def test_pairs_made_otherwise_and_other_files_are_never_mixed(tmp_path: Path) -> None:
    record(tmp_path / "raw", 20)
    make(tmp_path / "raw", tmp_path / "made", RecordingRecipe())

    with pytest.raises(
        SynthesisError,
        match=r"made was made with --window 7-13 --seed 0, not --window 7-11 --seed 1; use the same settings, or",
    ):
        make(tmp_path / "raw", tmp_path / "made", RecordingRecipe(longest=11, seed=1))
    with pytest.raises(
        SynthesisError, match=r"with --camera none .*no --mosaic --shot-noise 0 .*, not --camera phone .* --mosaic "
    ):
        make(tmp_path / "raw", tmp_path / "made", RecordingRecipe(camera=PHONE))
    with pytest.raises(
        SynthesisError, match=r"made contains pairs from recordings, not from photographs; choose another --out"
    ):
        output.begin(tmp_path / "made", PHOTOS, [], 0.0)
    output.begin(tmp_path / "failed", RecordingRecipe(), ["a"], 0.0)  # before its first pair
    output.begin(tmp_path / "failed", PHOTOS, ["a"], 0.0)
    with pytest.raises(SynthesisError, match=r"raw contains other files; choose another --out"):
        output.begin(tmp_path / "raw", RecordingRecipe(), [], 0.0)
    (tmp_path / "made" / "synthesis.json").write_text("{")
    with pytest.raises(SynthesisError, match=r"synthesis.json is damaged .*; choose another --out"):
        output.begin(tmp_path / "made", RecordingRecipe(), [], 0.0)


@pytest.mark.parametrize("window", [(8, 8), (1, 1), (9, 7)])
def test_a_window_without_a_middle_is_refused(window: tuple[int, int]) -> None:
    with pytest.raises(SynthesisError, match="has no middle frame; use odd numbers from 3, such as 7-13"):
        RecordingRecipe(shortest=window[0], longest=window[1])


def test_sources_are_split_whole_and_stay_where_they_were(tmp_path: Path) -> None:
    names = [f"GOPR{source:04}_11_{clip:02}" for source in range(10) for clip in range(3)]

    first = output.begin(tmp_path / "made", RecordingRecipe(), names, 0.3)
    more = output.begin(tmp_path / "made", RecordingRecipe(), [*names, "a", "b", "c"], 0.3)

    for splits in (first, more):
        by_source: dict[str, set[str]] = {}
        for name, split in splits.items():
            by_source.setdefault(name[:8], set()).add(split)
        assert all(len(drawn) == 1 for drawn in by_source.values())
    assert sum(split == "test" for split in first.values()) == 9  # 3 sources of 10
    assert {name: more[name] for name in names} == first
    assert sum(more[name] == "test" for name in "abc") == 1  # 4 of 13


def test_the_sharp_frame_passes_through_the_same_camera_without_noise_or_with(tmp_path: Path) -> None:
    record(tmp_path / "raw", 7)
    sharp = {}
    for name, camera in (("clean", PHONE), ("noisy", replace(PHONE, noisy_sharp=True)), ("none", NONE)):
        recipe = RecordingRecipe(shortest=7, longest=7, camera=camera, limit=None)
        make(tmp_path / "raw", tmp_path / name, recipe)
        (pair,) = layouts.find(tmp_path / name).pairs
        sharp[name] = read(pair.sharp).astype(float)

    assert np.array_equal(sharp["none"], shots(7)[3])
    assert np.median(np.abs(sharp["clean"] - sharp["none"])) < 5  # what a mosaic loses of random colours
    assert np.abs(sharp["noisy"] - sharp["clean"]).mean() > 2
    head = json.loads((tmp_path / "noisy" / "synthesis.json").read_text())
    assert (head["options"]["noisy-sharp"], head["settings"]["camera"]["noisy_sharp"]) == ("yes", True)


def test_a_film_with_a_cut_gives_no_pair_across_it(tmp_path: Path) -> None:
    other = [255 - pixels for pixels in shots(12)]
    write_film(tmp_path / "a.mp4", shots(12) + other)

    (clip,) = make(tmp_path / "a.mp4", tmp_path / "made", RecordingRecipe(shortest=5, longest=5))

    assert [window.frames[0] for window in clip.windows] == [0, 5, 12, 17]
    assert (clip.survey.cuts, clip.survey.gaps, clip.survey.repeated) == ([12], [], [])
    for pair in layouts.find(tmp_path / "made").pairs:
        place = int(pair.key[-6:]) - 1
        wanted = (shots(12) + other)[place]
        assert np.abs(read(pair.sharp).astype(float) - wanted).mean() < 12  # colours at half the resolution


def test_fast_motion_is_interpolated_where_asked(tmp_path: Path) -> None:
    for number, pixels in enumerate(shots(28)[::4], 1):  # eight pixels a frame
        frames.write(tmp_path / "raw" / f"{number:06}.png", pixels)
    finest = np.mean([pixels.astype(float) for pixels in shots(25)], axis=0)
    errors = {}
    for limit in (None, 2.5):
        clips = make(tmp_path / "raw", tmp_path / f"made{limit}", RecordingRecipe(shortest=7, longest=7, limit=limit))
        assert [clip.survey.rate for clip in clips] == [0.0]  # a folder of frames does not say
        (pair,) = layouts.find(tmp_path / f"made{limit}").pairs
        errors[limit] = np.abs(read(pair.blurry) - finest)[20:-20, 30:-30].mean()

    assert errors[2.5] < 0.4 * errors[None]


def test_a_data_set_of_photographs_resumes_without_touching_what_is_there(photo: np.ndarray, tmp_path: Path) -> None:
    first = list(from_photos.write_gopro({"a": photo}, tmp_path, "train", PHOTOS))
    times = [path.stat().st_mtime_ns for path in first]

    again = list(from_photos.write_gopro({"a": photo}, tmp_path, "train", replace(PHOTOS, count=3)))

    assert [path.stat().st_mtime_ns for path in again[:2]] == times
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*3.png")) == [
        f"train/a/{kind}/000003.png" for kind in ("blur", "extent", "sharp")
    ]


def test_a_photograph_that_was_replaced_is_never_mixed_with_its_earlier_pairs(
    photo: np.ndarray, tmp_path: Path
) -> None:
    place, made = tmp_path / "photos" / "a.png", tmp_path / "made"
    frames.write(place, photo)
    splits = output.begin(made, PHOTOS, ["a"], 0.0)
    assert list(from_photos.make({"a": place}, PHOTOS, made, splits, jobs=1)) == ["000001", "000002"]
    before = contents(made)
    os.utime(place)
    list(from_photos.make({"a": place}, PHOTOS, made, splits, jobs=1))
    assert contents(made) == before

    frames.write(place, np.ascontiguousarray(photo[::-1]))
    with pytest.raises(SynthesisError, match=r"a\.png has changed since pairs were made from it; choose another --out"):
        list(from_photos.make({"a": place}, PHOTOS, made, splits, jobs=1))


def test_two_processes_never_make_pairs_in_one_folder(tmp_path: Path) -> None:
    with (
        output.held(tmp_path / "made"),
        pytest.raises(
            SynthesisError, match=r"another process is making pairs in .*made; wait until it ends, or choose"
        ),
        output.held(tmp_path / "made"),
    ):
        pass
    assert not (tmp_path / "made").exists()
    with output.held(tmp_path / "made"):
        output.begin(tmp_path / "made", PHOTOS, [], 0.0)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["synthesis.json"]


def test_photographs_are_split_by_the_folder_above_or_by_share(photo: np.ndarray, tmp_path: Path) -> None:
    for name in ("test/one", "two", "deep/three_a", "four"):
        frames.write(tmp_path / "photos" / f"{name}.png", photo)
    frames.write(tmp_path / "photos" / "grey.png", photo[:, :, 0].astype(np.uint16) * 257)
    photos = from_photos.find([tmp_path / "photos"])
    free = [name for name, path in photos.items() if path.parent.name != "test"]
    splits = output.begin(tmp_path / "made", PHOTOS, free, 0.5)

    made = list(from_photos.make(photos, PHOTOS, tmp_path / "made", splits, jobs=1))

    assert len(made) == 10
    assert frames.read(tmp_path / "made" / "train" / "two" / "blur" / "000001.png").shape == (*SIZE, 3)
    dataset = layouts.find(tmp_path / "made")
    sequences = {(pair.split, layouts.sequence(pair.key)) for pair in dataset.pairs}
    assert ("test", "one") in sequences
    assert {name for _, name in sequences} == {"one", "two", "deep-three-a", "four", "grey"}
    assert sum(split == "test" for split, _ in sequences) == 3
    assert json.loads((tmp_path / "made" / "synthesis.json").read_text())["splits"] == splits


def test_photographs_make_the_same_bytes_with_any_number_of_processes(photo: np.ndarray, tmp_path: Path) -> None:
    for name in ("a", "b"):
        frames.write(tmp_path / "photos" / f"{name}.png", photo)
    photos = from_photos.find([tmp_path / "photos"])
    recipe = PhotoRecipe(count=9, camera=PHONE)  # 8 pairs a task

    for name, jobs in (("one", 1), ("two", 2)):
        list(from_photos.make(photos, recipe, tmp_path / name, {"a": "train", "b": "test"}, jobs=jobs))

    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    pairs = layouts.find(tmp_path / "one").pairs
    assert len(pairs) == 18
    assert frames.read(pairs[0].blurry).shape == (150, 190, 3)  # no size asked for: as large as the photograph


def test_every_camera_sees_the_same_motion(photo: np.ndarray) -> None:
    recipes = [
        replace(PHOTOS, camera=replace(camera, jpeg=jpeg)) for camera in CAMERAS.values() for jpeg in (None, (60, 90))
    ]
    extents = [from_photos.shake(photo, Segments(photo), recipe, [4]).extent for recipe in recipes]

    assert all(np.array_equal(extent, extents[0], equal_nan=True) for extent in extents)
    assert not np.array_equal(from_photos.shake(photo, Segments(photo), PHOTOS, [5]).extent, extents[0], equal_nan=True)


@pytest.mark.parametrize("size", [(1, 1), (2, 90), (15, 15)])
def test_a_tiny_photograph_is_one_line(tmp_path: Path, size: tuple[int, int]) -> None:
    frames.write(tmp_path / "a.png", np.zeros((*size, 3), np.uint8))
    recipe = PhotoRecipe(count=1)

    with pytest.raises(
        SynthesisError,
        match=rf"a.png is {size[1]} x {size[0]} pixels, smaller than the least size of 16 x 16; leave it out",
    ):
        list(from_photos.make({"a": tmp_path / "a.png"}, recipe, tmp_path / "made", {"a": "train"}, jobs=1))


def test_a_photograph_that_is_too_small_is_named(photo: np.ndarray, tmp_path: Path) -> None:
    frames.write(tmp_path / "a.png", photo)
    recipe = replace(PHOTOS, size=(720, 1280))
    (tmp_path / "empty").mkdir()

    with pytest.raises(
        SynthesisError,
        match=r"a.png is 190 x 150 pixels, smaller than the 1280 x 720 .width x height. of the frames; use a small",
    ):
        list(from_photos.make({"a": tmp_path / "a.png"}, recipe, tmp_path / "made", {"a": "train"}, jobs=1))
    with pytest.raises(SynthesisError, match=r"contains no photographs; use a photograph or a folder of photographs"):
        from_photos.find([tmp_path / "empty"])
