"""Videos through cdg-deblur: the same rate, sound and size; what is killed goes on."""

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
import torch
from films import smooth, sound_bytes, write_film
from lightning_fabric import Fabric

from cdgnet import CDGNet, ModelConfig, save_weights
from pipelines.restore import deblurring, videos
from pipelines.restore.jobs import RestoreJob, RestoreSettings, plan_restore
from pipelines.restore.restorer import Restorer
from pipelines.restore.videos import PART_FRAMES
from prep.io import files, frames, locks, video

DATA = Path(os.environ.get("CDG_DATA", Path(__file__).parents[3] / "shared" / "data"))
CLIP = DATA / "GOPRO_Large_all" / "train" / "GOPR0477_11_00"


def make_restorer(variant: str = "dmphn-1") -> Restorer:
    return Restorer(CDGNet(ModelConfig.preset("tiny", variant)), Fabric(accelerator="cpu", devices=1))


def test_a_film_keeps_its_frames_times_and_sound(tmp_path: Path) -> None:
    write_film(tmp_path / "in" / "a.mp4", (smooth(n) for n in range(PART_FRAMES + 5)), sound="aac")
    frames.write(tmp_path / "in" / "b.png", smooth(0))

    plan = plan_restore([tmp_path / "in"], tmp_path / "out")
    outcomes = list(deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings(batch=3)))

    assert [outcome.fault for outcome in outcomes if outcome.is_done] == ["", ""]
    assert sum(not outcome.is_done for outcome in outcomes) == PART_FRAMES + 5
    before, after = (list(video.read(tmp_path / name / "a.mp4")) for name in ("in", "out"))
    assert [each.seconds for each in after] == [each.seconds for each in before]
    assert max(np.abs(a.pixels.astype(float) - b.pixels).mean() for a, b in zip(before, after, strict=True)) < 2
    assert sound_bytes(tmp_path / "out" / "a.mp4") == sound_bytes(tmp_path / "in" / "a.mp4")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.mp4", "b.png"]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_chapters_are_kept(tmp_path: Path, name: str) -> None:
    chapters = {"Before": (0, 900), "After": (900, 2000)}
    write_film(tmp_path / name, (smooth(n) for n in range(60)), chapters=chapters)
    plan = plan_restore([tmp_path / name], tmp_path / "out")

    *_, last = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())

    assert last.fault == ""
    with av.open(str(plan.jobs[0].target)) as restored:
        times = {
            each["metadata"]["title"]: tuple(round(1000 * each[end] * each["time_base"]) for end in ("start", "end"))
            for each in restored.chapters()
        }
    assert times == chapters


def test_what_a_video_loses_is_known_before_it_is_restored(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mov", [smooth(0)] * 2, codec="prores_ks", pixels="yuva444p10le")
    write_film(tmp_path / "b.mp4", [smooth(0)] * 3)
    (tmp_path / "c.mp4").write_text("a letter")

    frames, lines = deblurring.survey(plan_restore([tmp_path], tmp_path / "out").jobs)

    assert frames == 2 + 3 + 1
    assert [line.partition(";")[0] for line in lines] == [f"{tmp_path / 'a.mov'}: alpha is dropped"]


def test_a_container_that_is_not_written_becomes_matroska(tmp_path: Path) -> None:
    write_film(tmp_path / "a.ts", (smooth(n) for n in range(3)), sound="aac")
    plan = plan_restore([tmp_path / "a.ts"], tmp_path / "out")
    assert [outcome.fault for outcome in deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())][-1] == ""
    assert video.describe(tmp_path / "out" / "a.mkv").size == (96, 128)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notes.txt", "mine"),
        ("000000.nut", "mine"),
        ("asked.json", "{}"),
        ("asked.json", "mine"),
        ("lock", "mine"),
        ("ends.jsonl", '{"part": 0}\n'),
    ],
)
def test_a_folder_of_parts_that_holds_files_of_somebody_elses_is_left_alone(
    tmp_path: Path, name: str, text: str
) -> None:
    write_film(tmp_path / "a.mp4", (smooth(n) for n in range(3)))
    theirs = tmp_path / "out" / "a.mp4.parts" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_text(text)

    plan = plan_restore([tmp_path / "a.mp4"], tmp_path / "out")
    (outcome,) = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())

    assert "a.mp4.parts holds other files than parts of a video; move it away" in outcome.fault
    assert [path.name for path in theirs.parent.iterdir()] == [name] and theirs.read_text() == text


def test_a_name_that_leaves_no_room_for_that_of_the_parts_is_refused_before_any_work(tmp_path: Path) -> None:
    name = "ä" * 124 + ".mp4"  # 252 bytes
    write_film(tmp_path / "a.mp4", [smooth(0)])
    (tmp_path / "a.mp4").rename(tmp_path / name)

    plan = plan_restore([tmp_path / name], tmp_path / "out")
    (outcome,) = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())

    assert "3 bytes too long; give its source a shorter one" in outcome.fault


def test_a_film_that_breaks_off_is_named_and_no_half_of_it_is_there(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mkv", (smooth(n) for n in range(9)))
    data = bytearray((tmp_path / "a.mkv").read_bytes())
    (tmp_path / "a.mkv").write_bytes(bytes(data[:300]))
    plan = plan_restore([tmp_path / "a.mkv"], tmp_path / "out")
    (outcome,) = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())
    assert "a.mkv" in outcome.fault
    assert not (tmp_path / "out" / "a.mkv").exists()


def test_a_short_film_that_ends_early_is_named(tmp_path: Path) -> None:
    write_film(tmp_path / "whole.mkv", (smooth(n) for n in range(60)))
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: 2 * len(data) // 3])
    faults = {}
    for name in ("whole", "cut"):
        plan = plan_restore([tmp_path / f"{name}.mkv"], tmp_path / "out")
        *_, last = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings(batch=4))
        faults[name] = last.fault
    assert faults["whole"] == "" and "cut.mkv ends after 1." in faults["cut"]


def test_a_film_that_ends_early_is_named(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mkv", (smooth(n) for n in range(240)))
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) // 3])
    plan = plan_restore([tmp_path / "a.mkv"], tmp_path / "out")
    *_, outcome = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())
    assert "a.mkv ends after 2." in outcome.fault and "of 8.0 s; what there is was restored" in outcome.fault
    assert 0 < len(list(video.read(tmp_path / "out" / "a.mkv"))) < 100


class Counted:
    """Counts the frames that are restored."""

    def __init__(self) -> None:
        self.frames = 0
        self.network = CDGNet(ModelConfig.preset("tiny", "dmphn-1"))
        self.network.register_forward_pre_hook(self._count)
        self.restorer = Restorer(self.network, Fabric(accelerator="cpu", devices=1))

    def _count(self, _: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.frames += len(inputs[0])


def start(jobs: list[RestoreJob], counted: Counted, frames_done: int, settings: RestoreSettings) -> None:
    """Restore so many frames of a film, and go away."""
    work = deblurring.deblur(jobs, counted.restorer, settings)
    for _ in range(frames_done):
        next(work)
    work.close()


@pytest.mark.parametrize(("quality", "again"), [(95, 0), (80, PART_FRAMES)])
def test_an_interrupted_film_goes_on_only_with_parts_of_its_own(tmp_path: Path, quality: int, again: int) -> None:
    length = PART_FRAMES + 10
    write_film(tmp_path / "a.mp4", (smooth(n) for n in range(length)))
    plan = plan_restore([tmp_path / "a.mp4"], tmp_path / "out")
    start(list(plan.jobs), Counted(), PART_FRAMES + 3, RestoreSettings())
    assert not (tmp_path / "out" / "a.mp4").exists()

    counted = Counted()
    list(deblurring.deblur(plan.jobs, counted.restorer, RestoreSettings(quality=quality)))

    assert counted.frames == length - PART_FRAMES + again
    assert len(list(video.read(tmp_path / "out" / "a.mp4"))) == length


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(videos, "PART_FRAMES", 10)
    return 10


def test_an_interrupted_film_is_entered_where_it_goes_on(tmp_path: Path, small_parts: int) -> None:
    """All that was done was decoded again first: minutes of a long film."""
    film = tmp_path / "a.mp4"
    write_film(film, (smooth(n) for n in range(6 * small_parts)), options={"g": "6"}, sound="aac")
    whole = plan_restore([film], tmp_path / "whole")
    list(deblurring.deblur(whole.jobs, make_restorer(), RestoreSettings()))
    plan = plan_restore([film], tmp_path / "out")
    start(list(plan.jobs), Counted(), 5 * small_parts + 3, RestoreSettings())
    data, status = bytearray(film.read_bytes()), film.stat()
    data[len(data) // 6 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 6)  # decoding these frames fails
    film.write_bytes(data)
    os.utime(film, ns=(status.st_atime_ns, status.st_mtime_ns))

    counted = Counted()
    *_, last = deblurring.deblur(plan.jobs, counted.restorer, RestoreSettings())

    assert (last.fault, counted.frames) == ("", small_parts)
    first, second = (list(video.read(tmp_path / name / "a.mp4")) for name in ("whole", "out"))
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("open.ts", {"codec": "libx264", "options": {"g": "8", "x264-params": "open-gop=1:bframes=3:interlaced=0"}}),
        pytest.param(
            "fields.mkv", {"codec": "libx264", "options": {"g": "7", "x264-params": "tff=1"}}, marks=pytest.mark.slow
        ),
        ("order.avi", {"codec": "libx264", "options": {"g": "8", "bf": "3"}}),
        pytest.param("old.avi", {"codec": "mpeg4", "options": {"g": "8", "bf": "2"}}, marks=pytest.mark.slow),
        pytest.param(
            "refresh.mkv",
            {"codec": "libx264", "options": {"g": "250", "x264-params": "intra-refresh=1:bframes=0"}},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "vp9.webm", {"codec": "libvpx-vp9", "options": {"g": "9", "b": "0", "crf": "4"}}, marks=pytest.mark.slow
        ),
    ],
)
def test_a_film_of_any_kind_goes_on_with_the_frames_that_follow(
    tmp_path: Path, name: str, options: dict[str, Any], small_parts: int
) -> None:
    length = 3 * small_parts + 4
    write_film(tmp_path / name, (smooth(n, (64, 64)) for n in range(length)), **options)
    outputs = []
    for out, done in (("whole", 0), ("out", 3 * small_parts + 2)):
        plan = plan_restore([tmp_path / name], tmp_path / out)
        if done:
            start(list(plan.jobs), Counted(), done, RestoreSettings())
        *_, last = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())
        assert last.fault == ""
        outputs.append(list(video.read(plan.jobs[0].target)))
    assert len(outputs[0]) == length
    for one, other in zip(*outputs, strict=True):
        assert one.seconds == other.seconds and np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("change", [{"crc32": 0}, {"ticks": 7}, {"part": 9}, None])
def test_a_film_whose_end_is_not_found_again_is_decoded_from_its_start(
    tmp_path: Path, change: dict[str, int] | None, small_parts: int
) -> None:
    write_film(tmp_path / "a.mp4", (smooth(n) for n in range(small_parts + 4)), options={"g": "6"})
    plan = plan_restore([tmp_path / "a.mp4"], tmp_path / "out")
    start(list(plan.jobs), Counted(), small_parts + 2, RestoreSettings())
    ends = tmp_path / "out" / "a.mp4.parts" / "ends.jsonl"
    (row,) = files.read_rows(ends)
    files.write_rows(ends, [] if change is None else [row | change])

    *_, last = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())

    before, after = (list(video.read(tmp_path / name)) for name in ("a.mp4", "out/a.mp4"))
    assert last.fault == ""
    assert max(np.abs(a.pixels.astype(float) - b.pixels).mean() for a, b in zip(before, after, strict=True)) < 2


def test_a_film_that_is_replaced_while_it_is_restored_is_named_and_done_anew(tmp_path: Path) -> None:
    """Its result showed the pictures of the one, and had the sound of the other."""
    for name, first in (("a.mp4", 0), ("b.mp4", 50)):
        write_film(tmp_path / name, (smooth(first + n, (32, 32)) for n in range(PART_FRAMES + 9)), sound="aac")
    plan = plan_restore([tmp_path / "a.mp4"], tmp_path / "out")
    work = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())
    for _ in range(PART_FRAMES + 1):
        next(work)
    (tmp_path / "b.mp4").replace(tmp_path / "a.mp4")

    *_, last = work

    assert "a.mp4 was changed while it was restored; run the same command again" in last.fault
    assert not plan.jobs[0].target.exists()
    *_, last = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())
    before, after = (next(video.read(tmp_path / name)) for name in ("a.mp4", "out/a.mp4"))
    assert last.fault == "" and np.abs(after.pixels.astype(float) - before.pixels).mean() < 4


def test_a_film_that_another_process_restores_is_named_and_the_others_are_restored(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_film(tmp_path / "in" / name, (smooth(n, (32, 32)) for n in range(3)))
    plan = plan_restore([tmp_path / "in"], tmp_path / "out")
    with locks.hold(plan.jobs[0].parts / "lock"):
        outcomes = list(deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings()))
    faults = [outcome.fault for outcome in outcomes if outcome.is_done]
    assert f"{plan.jobs[0].target} is being written by another process; wait for its end" in faults[0]
    assert faults[1:] == [""]


@pytest.mark.slow
def test_a_killed_film_leaves_no_broken_file_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = CDGNet(ModelConfig.preset("tiny", "dmphn-1"))
    save_weights(tmp_path / "w.safetensors", network, {})
    write_film(tmp_path / "a.mp4", (smooth(n, (240, 320)) for n in range(120)), sound="aac")
    words = ("-c", "from pipelines.cli.deblur import main; main()", "a.mp4", "--weights", "w.safetensors", "--out")
    subprocess.run([sys.executable, *words, "whole"], cwd=tmp_path, check=True, capture_output=True)

    for parts in (1, 2):
        process = subprocess.Popen([sys.executable, *words, "out"], cwd=tmp_path, stderr=subprocess.DEVNULL)
        while not (tmp_path / "out" / "a.mp4.parts" / f"{parts - 1:06}.nut").exists():
            assert process.poll() is None, "done before it could be killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "out" / "a.mp4").exists()
    subprocess.run([sys.executable, *words, "out"], cwd=tmp_path, check=True, capture_output=True)

    whole, resumed = (list(video.read(tmp_path / name / "a.mp4")) for name in ("whole", "out"))
    assert [each.seconds for each in resumed] == [each.seconds for each in whole]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(whole, resumed, strict=True))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".cdg-deblur.jsonl", "a.mp4"]


@pytest.mark.parametrize(
    ("rate", "variant"),
    [pytest.param(2, "dmphn-1", marks=pytest.mark.slow), pytest.param(5, "cdgnet", marks=pytest.mark.long)],
)
def test_a_minute_of_720p_takes_no_more_memory_than_its_beginning(tmp_path: Path, rate: int, variant: str) -> None:
    if not CLIP.is_dir():
        pytest.skip(f"{CLIP} is not there: real frames")
    paths = sorted(CLIP.glob("*.png"))
    pictures = (frames.read(paths[number % len(paths)]) for number in range(60 * rate))
    write_film(tmp_path / "a.mp4", pictures, rate=Fraction(rate), sound="aac")
    save_weights(tmp_path / "w.safetensors", CDGNet(ModelConfig.preset("tiny", variant)), {})
    words = (
        "-c",
        "from pipelines.cli.deblur import main; main()",
        "a.mp4",
        "--weights",
        "w.safetensors",
        "--out",
        "out",
    )
    process = subprocess.Popen([sys.executable, *words], cwd=tmp_path)
    memory: dict[int, int] = {}  # most bytes, by the number of parts that are done
    while process.poll() is None:
        done = len(list((tmp_path / "out" / "a.mp4.parts").glob("0*.nut")))
        try:
            memory[done] = max(memory.get(done, 0), psutil.Process(process.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.5)

    result = video.describe(tmp_path / "out" / "a.mp4")
    assert process.returncode == 0
    assert (result.frames, result.rate, result.size) == (60 * rate, rate, (720, 1280))
    assert len(list(video.read(tmp_path / "out" / "a.mp4"))) == 60 * rate
    assert sound_bytes(tmp_path / "out" / "a.mp4") == sound_bytes(tmp_path / "a.mp4")
    assert max(memory.values()) < 1.1 * memory[1], memory  # by the end of the second part all that is kept is there
