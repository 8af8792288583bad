"""Videos whose times, fields or names are odd: in order and whole, or refused in one line."""

from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from films import RATE, smooth, write_film
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import is_used

from prep.errors import FrameError
from prep.io import video
from prep.io.video import VideoInfo

FIELDS = {"x264-params": "interlaced=1"}


def changes(about: VideoInfo) -> str:
    return "; ".join(about.changes)


def test_frames_of_an_avi_that_were_decoded_in_another_order_come_at_even_times(tmp_path: Path) -> None:
    """The container knows no order of showing, and its times are those of decoding."""
    count = 45
    write_film(tmp_path / "a.avi", (smooth(n) for n in range(count)), options={"bf": "3", "x264-params": "b-pyramid=2"})

    moments = list(video.read(tmp_path / "a.avi"))

    assert np.diff([each.seconds for each in moments]) == pytest.approx([float(1 / RATE)] * (count - 1))
    assert max(np.abs(each.pixels.astype(float) - smooth(n)).mean() for n, each in enumerate(moments)) < 1.5


def fields(number: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Bars that move on between the odd lines, which come first here, and the even ones."""
    y, x = np.mgrid[: size[0], : size[1]]
    bars = 127 + 100 * np.sin((x - 4 * (2 * number + 1 - y % 2)) / 8)
    return np.stack([bars] * 3, axis=2).astype(np.uint8)


def combing(picture: np.ndarray) -> float:
    """How much neighbouring lines differ, in levels."""
    return float(np.abs(np.diff(picture[8:-8].astype(float), axis=0)).mean())


@pytest.mark.parametrize("colours", [None, (1, 1, 1, 1)])
def test_fields_are_made_whole_frames_at_the_times_of_the_file(
    tmp_path: Path, colours: tuple[int, int, int, int] | None
) -> None:
    write_film(tmp_path / "a.mkv", (fields(n) for n in range(12)), options=FIELDS, colours=colours)

    moments = list(video.read(tmp_path / "a.mkv"))

    assert [each.seconds for each in moments] == pytest.approx([float(n / RATE) for n in range(12)], abs=1e-3)
    assert combing(fields(5)) > 10
    assert max(combing(each.pixels) for each in moments[1:-1]) < 3
    assert np.abs(moments[5].pixels[1::2].astype(float) - fields(5)[1::2]).mean() < 3  # the first field is left alone
    assert [tick for _, tick in video.glance(tmp_path / "a.mkv", 32)] == [each.ticks for each in moments]
    assert "interlaced frames are deinterlaced" in changes(video.describe(tmp_path / "a.mkv"))


def test_what_a_copy_does_not_keep_is_said(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mov", [smooth(0)], codec="prores_ks", pixels="yuva444p10le")
    write_film(tmp_path / "b.mp4", [smooth(0)])
    assert changes(video.describe(tmp_path / "a.mov")).startswith("alpha is dropped")
    assert changes(video.describe(tmp_path / "b.mp4")) == ""


def test_hdr_data_that_a_copy_does_not_keep_are_said(tmp_path: Path) -> None:
    mastering = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    options = {"x264-params": f"mastering-display={mastering}:cll=1000,400"}
    write_film(tmp_path / "a.mkv", [smooth(0)], pixels="yuv420p10le", options=options)
    assert changes(video.describe(tmp_path / "a.mkv")) == "HDR mastering data, HDR light levels dropped"


@pytest.mark.parametrize("name", ["12:30 walk.mp4", "http:127.0.0.1:9?x.mp4", "pipe:0.mp4", "concat:a|b.mp4"])
def test_a_name_that_reads_as_an_address_is_that_of_a_file(tmp_path: Path, name: str) -> None:
    write_film(tmp_path / "a.mp4", [smooth(0)])
    (tmp_path / "a.mp4").rename(tmp_path / name)
    with chdir(tmp_path):
        assert video.describe(Path(name)).size == (96, 128)


def test_a_frame_that_repeats_the_time_of_another_is_shown_a_tick_later(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mkv", (smooth(n) for n in range(5)), codec="ffv1", ticks=lambda n: min(n, 3))

    ticks = [each.ticks for each in video.read(tmp_path / "a.mkv")]

    assert len(ticks) == 5 and ticks[4] == ticks[3] + 1


def test_a_jump_back_in_time_is_refused(tmp_path: Path) -> None:
    write_film(tmp_path / "a.ts", (smooth(n) for n in range(75)))
    (tmp_path / "b.ts").write_bytes((tmp_path / "a.ts").read_bytes() * 2)

    with pytest.raises(FrameError, match=r"b\.ts jumps back in time by 2\.\d s; repair it with: ffmpeg -i"):
        list(video.read(tmp_path / "b.ts"))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    """Short films of several containers, by suffix."""
    folder, kinds = tmp_path_factory.mktemp("films"), {".mp4": "libx264", ".mkv": "libx264", ".avi": "mpeg4"}
    for suffix, codec in kinds.items():
        write_film(folder / f"a{suffix}", (smooth(n, (48, 64)) for n in range(6)), codec=codec, sound="aac")
    return [(suffix, (folder / f"a{suffix}").read_bytes()) for suffix in kinds]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.integers(0, 2),
    places=st.lists(st.tuples(st.floats(0, 1), st.sampled_from([1, 4, 40]), st.integers(0, 255)), max_size=4),
    share=st.sampled_from([1.0, 1.0, 0.5, 0.1]),
)
def test_a_film_of_any_bytes_is_read_or_refused_in_one_line(
    films: list[tuple[str, bytes]], tmp_path: Path, kind: int, places: list[tuple[float, int, int]], share: float
) -> None:
    suffix, whole = films[kind]
    data = bytearray(whole)
    for place, length, value in places:
        start = round(place * (len(data) - length))
        data[start : start + length] = bytes([value]) * length
    (tmp_path / f"a{suffix}").write_bytes(data[: round(share * len(data))])

    def use() -> None:
        video.describe(tmp_path / f"a{suffix}")
        for moment in video.read(tmp_path / f"a{suffix}"):
            assert moment.pixels.size <= 100 * 48 * 64 * 3

    is_used(use)
