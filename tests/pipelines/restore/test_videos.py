"""Videos through cdg-deblur: the same rate, sound and size; what is killed goes on."""

import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from films import smooth, sound_bytes, write_film
from lightning_fabric import Fabric

from cdgnet import CDGNet, ModelConfig, save_weights
from pipelines.restore import deblurring
from pipelines.restore.jobs import RestoreSettings, plan_restore
from pipelines.restore.restorer import Restorer
from pipelines.restore.videos import PART_FRAMES
from prep.io import frames, video

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

    assert "a.mp4.parts contains files that are not parts of a video; move it away" in outcome.fault
    assert [path.name for path in theirs.parent.iterdir()] == [name] and theirs.read_text() == text


def test_a_name_that_leaves_no_room_for_that_of_the_parts_is_refused_before_any_work(tmp_path: Path) -> None:
    name = "ä" * 124 + ".mp4"  # 252 bytes
    write_film(tmp_path / "a.mp4", [smooth(0)])
    (tmp_path / "a.mp4").rename(tmp_path / name)

    plan = plan_restore([tmp_path / name], tmp_path / "out")
    (outcome,) = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())

    assert "3 bytes too long; give its source a shorter name" in outcome.fault


def test_a_film_that_breaks_off_is_named_and_no_half_of_it_is_there(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mkv", (smooth(n) for n in range(9)))
    data = bytearray((tmp_path / "a.mkv").read_bytes())
    (tmp_path / "a.mkv").write_bytes(bytes(data[:300]))
    plan = plan_restore([tmp_path / "a.mkv"], tmp_path / "out")
    (outcome,) = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())
    assert "a.mkv" in outcome.fault
    assert not (tmp_path / "out" / "a.mkv").exists()


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_film_that_ends_early_is_named(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mkv", (smooth(n) for n in range(240)))
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) // 3])
    plan = plan_restore([tmp_path / "a.mkv"], tmp_path / "out")
    *_, outcome = deblurring.deblur(plan.jobs, make_restorer(), RestoreSettings())
    assert "a.mkv ends after 2." in outcome.fault and "of 8.0 s; these were restored" in outcome.fault
    assert 0 < len(list(video.read(tmp_path / "out" / "a.mkv"))) < 100


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
