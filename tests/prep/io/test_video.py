"""Videos: upright, at their own times, in their own colours; joined from parts as if written at once."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from films import RATE, smooth, sound_bytes, write_film

from prep.errors import FrameError
from prep.io import video, video_parts
from prep.io.video import Moment

BT709, LIMITED, FULL = 1, 1, 2
LOSS = 2  # levels of 255 in the mean: what the codec may lose; another matrix or range differs by more


def again(source: Path, target: Path, moments: list[Moment], size: int = 7) -> Path:
    """Write moments in parts of ``size``, and join them."""
    about, parts = video.describe(source), []
    for start in range(0, len(moments), size):
        parts.append(source.parent / "parts" / f"{start:06}.nut")
        with video_parts.writing(parts[-1], about, 100, target.suffix) as write:
            for moment in moments[start : start + size]:
                write(moment)
    video_parts.join(parts, source, target, 100)
    return target


def errors(one: list[Moment], other: list[Moment]) -> list[float]:
    """Mean absolute differences of frames, in levels of 255."""
    assert len(one) == len(other)
    peak = np.iinfo(one[0].pixels.dtype).max
    return [
        float(np.abs(a.pixels.astype(float) - b.pixels).mean()) * 255 / peak for a, b in zip(one, other, strict=True)
    ]


def test_frames_come_in_order_at_their_times(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", (smooth(number) for number in range(10)))
    moments = list(video.read(tmp_path / "a.mp4"))
    assert [moment.seconds for moment in moments] == pytest.approx([float(number / RATE) for number in range(10)])
    assert max(np.abs(moment.pixels.astype(float) - smooth(n)).mean() for n, moment in enumerate(moments)) < 1.5
    about = video.describe(tmp_path / "a.mp4")
    assert (about.size, about.rate, about.frames) == ((96, 128), RATE, 10)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_turned_film_is_read_upright(tmp_path: Path, turn: int) -> None:
    write_film(tmp_path / "a.mp4", [smooth(3)], turn=turn)
    (moment,) = video.read(tmp_path / "a.mp4")
    wanted = np.rot90(smooth(3), turn // 90)
    assert video.describe(tmp_path / "a.mp4").size == moment.pixels.shape[:2] == wanted.shape[:2]
    assert np.abs(moment.pixels.astype(float) - wanted).mean() < 1.5


@pytest.mark.parametrize("colours", [(BT709, BT709, BT709, LIMITED), (BT709, BT709, BT709, FULL), (9, 9, 16, LIMITED)])
def test_matrix_and_range_are_obeyed_and_kept(tmp_path: Path, colours: tuple[int, int, int, int]) -> None:
    write_film(tmp_path / "a.mkv", [smooth(number) for number in range(9)], colours=colours)
    moments = list(video.read(tmp_path / "a.mkv"))
    assert np.abs(moments[0].pixels.astype(float) - smooth(0)).mean() < 1.5

    joined = again(tmp_path / "a.mkv", tmp_path / "b.mkv", moments)

    with av.open(str(joined)) as container:
        frame: Any = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == colours
    assert max(errors(moments, list(video.read(joined)))) < LOSS


@pytest.mark.parametrize(
    ("suffix", "codec", "sound"),
    [
        (".mp4", "libx264", "aac"),
        (".mov", "libx264", "aac"),
        (".m4v", "libx264", None),
        (".mkv", "libx264", "libopus"),
        (".webm", "libvpx-vp9", "libopus"),
        (".avi", "mpeg4", "mp3"),
    ],
)
def test_frames_times_rate_sound_and_title_survive_the_parts(
    tmp_path: Path, suffix: str, codec: str, sound: str | None
) -> None:
    source = tmp_path / f"a{suffix}"
    write_film(source, (smooth(number) for number in range(20)), codec=codec, sound=sound)
    moments = list(video.read(source))

    joined = again(source, tmp_path / f"b{suffix}", moments)

    rejoined = list(video.read(joined))
    assert max(errors(moments, rejoined)) < LOSS
    times, wanted = ([each.seconds for each in film] for film in (rejoined, moments))
    if suffix == ".avi":  # which has a rate and no times, and begins where its decoder does
        times, wanted = np.diff(times[1:]), np.diff(wanted[1:])
    assert times == pytest.approx(wanted, abs=1e-3)
    assert video.describe(joined).rate == video.describe(source).rate
    assert sound_bytes(joined) == sound_bytes(source)
    with av.open(str(joined)) as container:
        assert container.metadata["title"] == "A title"


def test_a_varying_rate_is_kept(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", (smooth(n) for n in range(20)), ticks=lambda number: number + number // 2)
    moments = list(video.read(tmp_path / "a.mp4"))
    steps = {round((b.seconds - a.seconds) * float(RATE)) for a, b in pairwise(moments)}
    assert steps == {1, 2}

    rejoined = list(video.read(again(tmp_path / "a.mp4", tmp_path / "b.mp4", moments)))

    assert [each.seconds for each in rejoined] == [each.seconds for each in moments]


@pytest.mark.parametrize("pixels", ["yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"])
def test_colour_resolution_and_ten_bits_are_kept(tmp_path: Path, pixels: str) -> None:
    write_film(tmp_path / "a.mkv", (smooth(number) for number in range(8)), pixels=pixels)
    moments = list(video.read(tmp_path / "a.mkv"))
    assert moments[0].pixels.dtype == (np.uint16 if "10" in pixels else np.uint8)

    joined = again(tmp_path / "a.mkv", tmp_path / "b.mkv", moments)

    assert video.describe(joined).pixels == pixels
    assert max(errors(moments, list(video.read(joined)))) < LOSS


def test_odd_sides_are_kept(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mkv", (smooth(n, (31, 45)) for n in range(3)), codec="ffv1", pixels="yuv444p")
    moments = list(video.read(tmp_path / "a.mkv"))
    joined = again(tmp_path / "a.mkv", tmp_path / "b.mkv", moments)
    assert video.describe(joined).size == (31, 45)
    assert max(errors(moments, list(video.read(joined)))) < LOSS


def test_quality_decides_the_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_film(tmp_path / "a.mp4", (rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(5)))
    about, moments = video.describe(tmp_path / "a.mp4"), list(video.read(tmp_path / "a.mp4"))
    sizes = []
    for quality in (40, 95):
        with video_parts.writing(tmp_path / "part.nut", about, quality, ".mp4") as write:
            for moment in moments:
                write(moment)
        sizes.append((tmp_path / "part.nut").stat().st_size)
    assert sizes[0] < sizes[1] / 2


def test_a_part_that_fails_is_not_there(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", [smooth(0)])
    (moment,) = video.read(tmp_path / "a.mp4")
    about = video.describe(tmp_path / "a.mp4")
    with pytest.raises(RuntimeError), video_parts.writing(tmp_path / "part.nut", about, 95, ".mp4") as write:
        write(moment)
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("a letter")
    with pytest.raises(FrameError, match=r"a\.mp4 cannot be read as a video"):
        video.describe(tmp_path / "a.mp4")
    with av.open(str(tmp_path / "b.mkv"), "w") as container:
        tone: Any = container.add_stream("libopus", rate=48000)
        silence: Any = av.AudioFrame(format="flt", layout="stereo", samples=960)
        silence.sample_rate, silence.pts = 48000, 0
        container.mux(tone.encode(silence))
        container.mux(tone.encode(None))
    with pytest.raises(FrameError, match=r"b\.mkv contains no video"):
        video.describe(tmp_path / "b.mkv")


def test_names_tell_videos() -> None:
    assert video.is_video(Path("a.MOV")) and not video.is_video(Path(".a.mov")) and not video.is_video(Path("a.png"))


def test_the_rate_of_the_clock_is_exact(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", (smooth(n) for n in range(3)))
    assert (video.describe(tmp_path / "a.mp4").clock / (1 / RATE)).numerator == 1
    assert video.describe(tmp_path / "a.mp4").clock < Fraction(1, 10_000)
