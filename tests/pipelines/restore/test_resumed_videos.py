"""A video whose restoring was interrupted: the same command goes on, with the frames that follow and no others."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from films import smooth, write_film
from lightning_fabric import Fabric

from cdgnet import CDGNet, ModelConfig, save_weights
from pipelines.restore import deblurring, videos
from pipelines.restore.jobs import RestoreJob, RestoreSettings, plan_restore
from pipelines.restore.restorer import Restorer
from pipelines.restore.videos import PART_FRAMES
from prep.io import files, locks, video


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_interrupted_film_is_entered_where_it_goes_on(tmp_path: Path, small_parts: int) -> None:
    """All that was done was decoded again first: minutes of a long film."""
    film = tmp_path / "a.mp4"
    write_film(film, (smooth(n) for n in range(6 * small_parts)), options={"g": "6"}, sound="aac")
    whole = plan_restore([film], tmp_path / "whole")
    list(deblurring.deblur(whole.jobs, Counted().restorer, RestoreSettings()))
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


@pytest.mark.slow
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
        *_, last = deblurring.deblur(plan.jobs, Counted().restorer, RestoreSettings())
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

    *_, last = deblurring.deblur(plan.jobs, Counted().restorer, RestoreSettings())

    before, after = (list(video.read(tmp_path / name)) for name in ("a.mp4", "out/a.mp4"))
    assert last.fault == ""
    assert max(np.abs(a.pixels.astype(float) - b.pixels).mean() for a, b in zip(before, after, strict=True)) < 2


def test_a_film_that_is_replaced_while_it_is_restored_is_named_and_done_anew(tmp_path: Path) -> None:
    """Its result showed the pictures of the one, and had the sound of the other."""
    for name, first in (("a.mp4", 0), ("b.mp4", 50)):
        write_film(tmp_path / name, (smooth(first + n, (32, 32)) for n in range(PART_FRAMES + 9)), sound="aac")
    plan = plan_restore([tmp_path / "a.mp4"], tmp_path / "out")
    work = deblurring.deblur(plan.jobs, Counted().restorer, RestoreSettings())
    for _ in range(PART_FRAMES + 1):
        next(work)
    (tmp_path / "b.mp4").replace(tmp_path / "a.mp4")

    *_, last = work

    assert "a.mp4 changed while it was being restored; run the same command again" in last.fault
    assert not plan.jobs[0].target.exists()
    *_, last = deblurring.deblur(plan.jobs, Counted().restorer, RestoreSettings())
    before, after = (next(video.read(tmp_path / name)) for name in ("a.mp4", "out/a.mp4"))
    assert last.fault == "" and np.abs(after.pixels.astype(float) - before.pixels).mean() < 4


def test_a_film_that_another_process_restores_is_named_and_the_others_are_restored(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_film(tmp_path / "in" / name, (smooth(n, (32, 32)) for n in range(3)))
    plan = plan_restore([tmp_path / "in"], tmp_path / "out")
    with locks.hold(plan.jobs[0].parts / "lock"):
        outcomes = list(deblurring.deblur(plan.jobs, Counted().restorer, RestoreSettings()))
    faults = [outcome.fault for outcome in outcomes if outcome.is_done]
    assert f"{plan.jobs[0].target} is being written by another process; wait until it ends" in faults[0]
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
