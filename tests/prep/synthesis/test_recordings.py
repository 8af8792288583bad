"""Recordings found, and what is wrong with them seen: cuts, repeated frames, freezes, gaps."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from films import write_film

from prep.errors import ReadError, SynthesisError
from prep.io import frames
from prep.synthesis import recordings

SCENES = [np.random.default_rng(seed).integers(0, 256, (60, 90, 3)) for seed in range(3)]


def picture(number: float, scene: int = 0) -> np.ndarray:
    """A smooth scene that moves: every number is another place."""
    y, x = np.mgrid[:90, :120]
    phase = SCENES[scene][0, 0, 0]
    waves = [np.sin((x + 2 * number) / 11 + phase) * np.cos(y / 17 + scene * 2 + plane) for plane in range(3)]
    return np.rint(127 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def write_frames(folder: Path, pictures: list[np.ndarray], first: int = 1) -> Path:
    for number, pixels in enumerate(pictures, first):
        frames.write(folder / f"{number:06}.png", pixels)
    return folder


def look(place: Path) -> recordings.Survey:
    (survey,) = recordings.survey(recordings.find([place]), place.parent / "survey", jobs=1)
    return survey


def test_folders_and_videos_are_found_wherever_they_lie(tmp_path: Path) -> None:
    for place in ("all/train/GOPR0001_11_00", "all/test/GOPR0002_11_00", "all/my_clip"):
        write_frames(tmp_path / place, [picture(0), picture(1)])
    write_film(tmp_path / "all/test/VID_7.mp4", [picture(0), picture(1)])
    write_frames(tmp_path / "all/single", [picture(0)])
    write_frames(tmp_path / "all/.hidden", [picture(0), picture(1)])

    names = [(one.split, one.name) for one in recordings.find([tmp_path / "all"])]

    assert names == [("", "my-clip"), ("test", "GOPR0002_11_00"), ("test", "VID-7"), ("train", "GOPR0001_11_00")]


def test_frames_are_taken_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (9, 10, 11):
        frames.write(tmp_path / "a" / f"shot{number}.png", picture(number))

    (recording,) = recordings.find([tmp_path / "a"])

    assert recording.numbers == (9, 10, 11)
    assert [path.stem for path in recording.frames] == ["shot9", "shot10", "shot11"]


def test_what_is_no_recording_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SynthesisError, match="nowhere does not exist; use a video or a folder of frames"):
        recordings.find([tmp_path / "nowhere"])
    with pytest.raises(SynthesisError, match="empty contains neither a video nor two frames; use a video"):
        recordings.find([tmp_path / "empty"])
    for folder in ("x/a", "y/a"):
        write_frames(tmp_path / folder, [picture(0), picture(1)])
    with pytest.raises(SynthesisError, match=r"x/a and .*y/a would both become sequence a; rename one"):
        recordings.find([tmp_path / "x", tmp_path / "y"])


@pytest.mark.parametrize("kind", ["frames", "video"])
def test_cuts_repeated_frames_and_freezes_part_or_thin_the_runs(tmp_path: Path, kind: str) -> None:
    shown = [picture(n) for n in range(8)]  # 0 to 7
    shown += [picture(n, scene=1) for n in range(8)]  # cut at 8
    shown.insert(4, shown[3])  # repeated at 4; the cut moves to 9
    shown += [shown[-1]] * 3 + [picture(n, scene=1) for n in (8, 9, 10)]  # frozen at 17 to 19, goes on at 20
    if kind == "video":
        write_film(tmp_path / "a.mp4", shown)
    else:
        write_frames(tmp_path / "a", shown)

    survey = look(tmp_path / ("a.mp4" if kind == "video" else "a"))

    assert (survey.count, survey.size) == (23, (90, 120))
    assert survey.cuts[0] == 9
    assert list(survey.repeated) == [4, 17, 18, 19]
    assert survey.runs() == [[0, 1, 2, 3, 5, 6, 7, 8], list(range(9, 17)), [20, 21, 22]]


def test_a_missing_number_and_a_lost_frame_of_a_video_are_gaps(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", [picture(n) for n in range(6)])
    write_frames(tmp_path / "a", [picture(n) for n in range(7, 12)], first=8)
    write_film(tmp_path / "b.mkv", [picture(n) for n in range(12)], ticks=lambda n: n if n < 5 else n + 1)

    assert look(tmp_path / "a").runs() == [list(range(6)), list(range(6, 11))]
    assert look(tmp_path / "b.mkv").runs() == [list(range(5)), list(range(5, 12))]


def test_a_rate_that_varies_a_little_is_no_gap(tmp_path: Path) -> None:
    write_film(
        tmp_path / "a.mkv", [picture(n) for n in range(12)], rate=Fraction(1000), ticks=lambda n: 33 * n + n % 3 * 2
    )

    assert look(tmp_path / "a.mkv").runs() == [list(range(12))]


@pytest.mark.parametrize("turn", [0, 90])
def test_frames_from_the_middle_of_a_video_are_those_of_its_places_upright(tmp_path: Path, turn: int) -> None:
    write_film(tmp_path / "a.mp4", [picture(n) for n in range(60)], turn=turn)
    (recording,) = recordings.find([tmp_path / "a.mp4"])
    survey = look(tmp_path / "a.mp4")

    frames_read = dict(recordings.read(recording, survey, [41, 42, 44]))

    assert list(frames_read) == [41, 42, 44]
    assert survey.size == frames_read[41].shape[:2]
    for place, pixels in frames_read.items():
        wanted = [np.abs(np.rot90(picture(n), turn // 90).astype(float) - pixels).mean() for n in range(60)]
        assert int(np.argmin(wanted)) == place


def test_a_survey_is_kept_and_a_recording_that_changed_refused(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", [picture(n) for n in range(3)])
    look(tmp_path / "a")
    (kept,) = (tmp_path / "survey").glob("*.json")
    before = kept.stat().st_mtime_ns
    look(tmp_path / "a")
    assert kept.stat().st_mtime_ns == before

    write_frames(tmp_path / "a", [picture(9)], first=4)
    with pytest.raises(SynthesisError, match="has changed since the first run; choose another --out"):
        look(tmp_path / "a")


def test_frames_of_two_sizes_and_a_damaged_one_are_one_line(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", [picture(0), picture(1)[:80]])
    with pytest.raises(ReadError, match="contains frames of several sizes"):
        look(tmp_path / "a")
    write_frames(tmp_path / "b", [picture(0), picture(1)])
    (tmp_path / "b" / "000002.png").write_bytes((tmp_path / "b" / "000002.png").read_bytes()[:-200])
    with pytest.raises(ReadError, match=r"b/000002.png is damaged"):
        look(tmp_path / "b")
