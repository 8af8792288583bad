"""Work in processes and on a cluster: what is lost when one dies, and what is said."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from prep import errors, parallel

MakeGopro = Callable[..., Path]
FRAMES = 60
MAIN = "from pipelines.cli.prep import main; main()"


def masks(root: Path, folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN, "masks", "--method", "hifst", "--root", str(root), "--out", str(folder)]
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def content(folder: Path) -> dict[str, bytes]:
    """All files but what a killed process may leave under a temporary name."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers of one thread on loopback: its address, and the workers."""
    with ExitStack() as stack:

        def start(name: str, *arguments: str) -> subprocess.Popen[bytes]:
            log = stack.enter_context((tmp_path / f"{name}.log").open("w"))
            command = [sys.executable, "-m", *arguments, "--no-dashboard"]
            process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=tmp_path))
            stack.callback(process.kill)
            return process

        start("scheduler", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0")
        address = ""
        deadline = time.monotonic() + 60
        while not address and time.monotonic() < deadline:
            time.sleep(0.1)
            found = re.search(r"Scheduler at:\s+(tcp://\S+)", (tmp_path / "scheduler.log").read_text())
            address = found.group(1) if found else ""
        worker = ("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny")
        yield address, [start(f"worker{number}", *worker) for number in range(2)]


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_half_way_loses_no_frame_and_changes_no_byte(
    make_gopro: MakeGopro, tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = cluster
    root = make_gopro(train=FRAMES, test=0)
    home = masks(root, tmp_path / "home", "--jobs", "1")
    home.communicate()

    away = masks(root, tmp_path / "away", "--cluster", address)
    while away.poll() is None and not list((tmp_path / "away").rglob("*.mask.png")):
        time.sleep(0.02)
    was_running = away.poll() is None
    workers[0].send_signal(signal.SIGKILL)
    said, _ = away.communicate(timeout=240)

    assert was_running
    assert away.returncode == 0, said
    assert "failed" not in said
    assert len(content(tmp_path / "away")) == 2 * FRAMES + 1
    assert content(tmp_path / "away") == content(tmp_path / "home")


def _die(place: int) -> int:
    if place == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return place


_GROWN: list[np.ndarray] = []


def _grow(task: int) -> int:
    _GROWN.append(np.ones(20_000_000))  # 160 MB
    time.sleep(0.4)  # a worker's memory is looked at once a second
    return os.getpid()


@pytest.mark.slow
def test_a_worker_that_grew_is_replaced_and_nothing_waits_for_ever() -> None:
    """joblib warns when it does; warnings are errors in a test, and this one ended the thread that joblib waits for."""
    assert len(set(parallel.over(range(24), _grow, jobs=2, ahead=4))) > 2


def test_results_come_in_the_order_of_the_tasks_beyond_one_batch() -> None:
    assert list(parallel.over(range(11), abs, jobs=2, ahead=2)) == list(range(11))


def test_threads_keep_the_order_and_run_no_further_ahead_than_asked() -> None:
    begun: list[int] = []

    def work(task: int) -> int:
        begun.append(task)
        time.sleep(0.01 * (task % 3))
        return -task

    results = parallel.in_threads(range(40), work, jobs=2, ahead=3)
    found = [next(results) for _ in range(5)]
    time.sleep(0.1)

    assert len(begun) <= 5 + 2 * 3
    assert [*found, *results] == [-task for task in range(40)]


def test_an_error_in_a_thread_comes_at_its_turn_and_ends_the_rest() -> None:
    def work(task: int) -> int:
        if task == 3:
            raise ValueError("three")
        return task

    results = parallel.in_threads(range(1000), work, jobs=2, ahead=2)

    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_a_killed_process_is_said_in_one_line() -> None:
    with pytest.raises(errors.WorkerError, match="a worker process was killed, probably for lack of memory; run"):
        list(parallel.over(range(6), _die, jobs=2, ahead=8))


@pytest.mark.slow  # Dask waits for half a minute
def test_an_address_where_nobody_answers_is_one_line(make_gopro: MakeGopro, tmp_path: Path) -> None:
    run = masks(make_gopro(), tmp_path / "m", "--cluster", "tcp://127.0.0.1:9")
    said, _ = run.communicate(timeout=120)

    assert run.returncode == 1
    assert said.splitlines()[-1].startswith("cdg-prep: no Dask scheduler answers at tcp://127.0.0.1:9")
    assert "Traceback" not in said


def test_an_address_that_is_none_is_one_line_at_once() -> None:
    with pytest.raises(
        errors.WorkerError, match="foo is not the address of a Dask scheduler; --cluster takes tcp://HOST:PORT"
    ):
        list(parallel.over(range(2), abs, jobs=1, ahead=1, cluster="foo"))


WAITING = """
import os, sys, time
from pathlib import Path
from prep import parallel

def wait(folder):
    (folder / str(os.getpid())).touch()
    time.sleep(600)

list(parallel.over([Path(sys.argv[1])] * 2, wait, jobs=2, ahead=2))
"""


def test_a_killed_command_leaves_no_process_behind(tmp_path: Path) -> None:
    command = subprocess.Popen([sys.executable, "-c", WAITING, str(tmp_path)])
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(path.name) for path in tmp_path.iterdir()]

    command.kill()
    command.wait()

    deadline = time.monotonic() + 10
    while any(map(_is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(workers) == 2
    assert not any(map(_is_running, workers))


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].startswith(" Z")
