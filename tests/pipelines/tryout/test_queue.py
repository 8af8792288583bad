"""The queue of pictures and the thread that works it off."""

import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tryout_page import HOSTILE, animation, hand_in, make_restorer, picture, state, wait_for, working

from cdgnet.tiling import Progress
from pipelines.errors import InputError
from pipelines.restore.deblurring import deblur
from pipelines.restore.jobs import RestoreJob, RestoreSettings
from pipelines.restore.restorer import Restorer
from pipelines.tryout import queue as queues
from pipelines.tryout.pictures import Picture, State, Task
from pipelines.tryout.queue import Gone, Queue
from pipelines.tryout.worker import LARGEST_TILE, Worker
from prep.io import photographs


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return make_restorer()


@pytest.fixture
def queue(tmp_path: Path, restorer: Restorer) -> Iterator[Queue]:
    with working(tmp_path / "kept", restorer) as queue:
        yield queue


@pytest.fixture
def idle(tmp_path: Path) -> Queue:
    """A queue that nobody works off."""
    return Queue(tmp_path / "kept")


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("JPEG", ".JPG"), ("WEBP", ".webp"), ("TIFF", ".tif")])
def test_the_result_is_byte_for_byte_what_the_command_writes(
    kind: str, suffix: str, queue: Queue, restorer: Restorer, tmp_path: Path
) -> None:
    exif = photographs.Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"  # stands on its side
    data = picture(40, 30, kind, exif=exif, dpi=(300, 300))
    (tmp_path / f"photo{suffix}").write_bytes(data)
    job = RestoreJob(source=tmp_path / f"photo{suffix}", target=tmp_path / f"out{suffix}")

    number = hand_in(queue, data, f"photo{suffix}")
    wait_for(queue, number)

    assert all(not outcome.fault for outcome in deblur([job], restorer, RestoreSettings(quality=95)))
    found = queue.get(number)
    assert found and found.restored.read_bytes() == job.target.read_bytes()
    assert (found.height, found.width) == (30, 40)
    assert not np.array_equal(photographs.read(job.target).pixels, photographs.read(job.source).pixels)


def test_pictures_are_taken_in_the_order_in_which_they_were_offered(idle: Queue) -> None:
    numbers = idle.offer([("a.png", 1), ("b.png", 1), ("c.png", 1)])
    for number in reversed(numbers):
        idle.receive(number, io.BytesIO(picture()))

    taken = [idle.take() for _ in numbers]

    assert [each[0].number for each in taken if each] == numbers


def test_branches_that_somebody_waits_for_come_before_pictures(idle: Queue) -> None:
    first, second = hand_in(idle, picture()), hand_in(idle, picture())
    taken = idle.take()
    assert taken and taken[0].number == first
    assert not idle.ask_branches(first)  # it is not restored yet
    idle.end(*taken)

    assert idle.ask_branches(first)

    for number, kind in ((first, "branches"), (second, "restoring")):
        taken = idle.take()
        assert taken and taken[0].number == number and taken[1] is getattr(taken[0], kind)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("notes.txt", b"hello", "This page cannot read this kind of file; convert it to PNG, JPEG"),
        ("drawing.svg", b"<svg/>", "This page cannot read this kind of file"),
        ("moving.gif", animation(), "This page cannot read this kind of file"),
        ("none", b"", "This page cannot read this kind of file"),
        ("moving.png", animation(), "This file contains 3 pictures; save each as a file"),
        ("letter.png", b"hello", "This file is not a readable picture (5 bytes); replace or remove it"),
        ("empty.jpg", b"", "This file is empty; copy or download it again"),
        ("cut.jpg", picture(200, 300, "JPEG")[:2500], "This file is damaged: image file is truncated"),
        ("cut.png", picture()[:-40], "This file is damaged: "),
        ("clip.mp4", b"video", "This page restores pictures only; for a video, run cdg-deblur clip.mp4"),
        ("my clip.MOV", b"video", "for a video, run cdg-deblur 'my clip.MOV'"),
    ],
)
def test_what_is_no_picture_is_said_in_one_line_and_the_rest_goes_on(
    name: str, data: bytes, said: str, queue: Queue
) -> None:
    (wrong,) = queue.offer([(name, len(data))])
    queue.receive(wrong, io.BytesIO(data))
    right = hand_in(queue, picture())

    wait_for(queue, right)

    reason = queue.facts()[0]["restoring"]["reason"]
    assert said in reason and "\n" not in reason and str(queue.folder) not in reason
    assert state(queue, wrong) == "failed"
    assert not (queue.folder / str(wrong)).exists()


def test_sizes_that_are_too_large_are_refused_before_they_are_taken_in(
    idle: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    (heavy,) = idle.offer([("a.png", 500_000_001)])
    assert "has 500 MB; the limit is 500 MB" in idle.facts()[0]["restoring"]["reason"]
    assert not idle.receive(heavy, io.BytesIO(picture()))

    monkeypatch.setattr(queues, "MOST_PIXELS", 48 * 64 - 1)
    wide = hand_in(idle, picture())
    assert state(idle, wide) == "failed"
    assert "has 64 x 48 pixels (0 megapixels); the limit is 0 megapixels" in idle.facts()[1]["restoring"]["reason"]


def test_the_limit_of_pixels_is_tested_before_a_picture_is_decoded(tmp_path: Path) -> None:
    data = bytearray(picture(kind="BMP"))
    data[18:26] = (20_000).to_bytes(4, "little") + (20_000).to_bytes(4, "little")  # what it says of itself
    (tmp_path / "bomb.bmp").write_bytes(data)

    with pytest.raises(photographs.FrameError, match=r"has 20,000 x 20,000 pixels \(400 megapixels\); the limit is"):
        photographs.read(tmp_path / "bomb.bmp", 200_000_000)


def test_bytes_that_come_twice_at_once_are_taken_once(idle: Queue) -> None:
    (number,) = idle.offer([("a.png", 1)])
    again = []

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            again.append(idle.receive(number, io.BytesIO(picture(seed=1))))
            return super().read(size)

    assert idle.receive(number, Slow(picture()))
    assert again and not any(again)


def test_a_full_list_is_refused(idle: Queue) -> None:
    idle.offer([("a.png", 1)] * queues.MOST_PICTURES)
    with pytest.raises(InputError, match="The list holds up to 500 pictures"):
        idle.offer([("a.png", 1)])


@pytest.mark.parametrize(
    "name", [HOSTILE + ".png", "../../../../x.png", "C:\\x.png", "/etc/passwd.png", "写" * 300 + ".png"]
)
def test_no_name_reaches_the_disk_or_is_more_than_a_name_of_a_download(name: str, idle: Queue) -> None:
    number = hand_in(idle, picture(), name)

    found = idle.get(number)
    assert found and found.name == name
    assert [path.relative_to(idle.folder).as_posix() for path in idle.folder.rglob("*")] == ["1", "1/blurry.png"]
    assert found.download_name.endswith("-restored.png") and len(found.download_name) < 130
    assert found.download_name.isprintable() and not set(found.download_name) & set('/\\<>:"|?*;%')
    assert not found.download_name.startswith(".")


@pytest.mark.parametrize("is_late", [False, True])
def test_a_picture_that_is_removed_leaves_nothing_even_while_it_is_restored(is_late: bool, tmp_path: Path) -> None:
    reached, goes_on = threading.Event(), threading.Event()

    class Slow(Restorer):
        def __call__(self, blurry: torch.Tensor, on_tile: Progress | None = None) -> torch.Tensor:
            assert on_tile
            on_tile(0.5)
            restored = super().__call__(blurry) if is_late else None  # late: only the file is to be written
            reached.set()
            goes_on.wait(30)
            return super().__call__(blurry, on_tile) if restored is None else restored

    usual = make_restorer()
    with working(tmp_path / "kept", Slow(usual.network, usual.fabric)) as queue:
        first, waiting, last = (hand_in(queue, picture(seed=seed)) for seed in range(3))
        reached.wait(30)
        (facts,) = (each for each in queue.facts() if each["number"] == first)
        assert facts["restoring"]["share"] == 0.5 and facts["restoring"]["left"] >= 0
        assert queue.remove(first) and queue.remove(waiting) and not queue.remove(first)
        goes_on.set()
        wait_for(queue, last)

        assert [facts["number"] for facts in queue.facts()] == [last]
        assert [path.name for path in queue.folder.iterdir()] == [str(last)]


def test_progress_of_a_picture_in_tiles_grows_to_one(tmp_path: Path) -> None:
    shares = []

    class Told(Queue):
        def report(self, picture: Picture, task: Task, share: float) -> None:
            shares.append(share)
            super().report(picture, task, share)

    queue = Told(tmp_path / "kept")
    Worker(queue, make_restorer(tile=64), 95).start()
    number = hand_in(queue, picture(60, 500))
    wait_for(queue, number)
    queue.close()

    assert len(shares) == 1 + 2 * 8 and shares == sorted(shares) and shares[-1] == 1


def test_a_picture_of_twelve_megapixels_is_cut_into_tiles_of_a_free_choice(idle: Queue) -> None:
    restorer = make_restorer()
    restorer.tile = 4096  # as on a GPU
    Worker(idle, restorer, 95)
    assert restorer.tile == LARGEST_TILE
    own = make_restorer(tile=2048)
    Worker(idle, own, 95)
    assert own.tile == 2048


@pytest.mark.parametrize(
    ("fusion", "names"),
    [
        ("orientation", ["small", "large", "small_attention", "large_attention"]),
        ("divided", ["small", "large", "small_attention", "large_attention", "share"]),
    ],
)
def test_branches_are_drawn_as_the_network_makes_them(fusion: str, names: list[str], tmp_path: Path) -> None:
    restorer = make_restorer(fusion)
    with working(tmp_path / "kept", restorer) as queue:
        number = hand_in(queue, picture())
        wait_for(queue, number)
        assert queue.ask_branches(number)
        wait_for(queue, number, task="branches")

        found = queue.get(number)
        assert found and [part["name"] for part in found.parts] == names
        pixels = torch.from_numpy(photographs.read(found.source).pixels.copy()).permute(2, 0, 1)[None] / 255 - 0.5
        small = restorer.components(pixels).small
        assert small is not None
        shown = photographs.Image.open(found.folder / "small")
        expected = (small[0].permute(1, 2, 0).numpy() + 0.5).clip(0, 1) * 255
        assert float(np.abs(np.asarray(shown) - expected).mean()) < 6  # levels: it is a JPEG


def test_too_little_memory_is_said_of_the_picture(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.tryout.worker._PIXEL_BYTES", {"restoring": 10**12, "branches": 10**12})
    number = hand_in(queue, picture())
    with pytest.raises(AssertionError):
        wait_for(queue, number)
    assert "needs 3,072 TB of memory, and" in queue.facts()[0]["restoring"]["reason"]


def test_an_error_of_ours_is_logged_and_the_next_picture_is_restored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Restorer):
        def __call__(self, blurry: torch.Tensor, on_tile: Progress | None = None) -> torch.Tensor:
            if blurry.shape[-1] == 64:
                raise ZeroDivisionError("a bug")
            return super().__call__(blurry, on_tile)

    usual = make_restorer()
    with working(tmp_path / "kept", Broken(usual.network, usual.fabric)) as queue:
        broken, fine = hand_in(queue, picture()), hand_in(queue, picture(48, 80))
        wait_for(queue, fine)
        assert state(queue, broken) == "failed"
        assert queue.facts()[0]["restoring"]["reason"].startswith("The program failed; the terminal")
    assert "ZeroDivisionError: a bug" in caplog.text


def test_a_closed_queue_takes_its_folder_with_it_and_ends_the_work(idle: Queue) -> None:
    hand_in(idle, picture())
    taken = idle.take()
    assert taken

    idle.close()

    assert not idle.folder.exists() and idle.take() is None
    with pytest.raises(Gone):
        idle.report(*taken, 0.5)


def test_the_time_left_is_told_by_the_pace_of_earlier_pictures_until_there_is_progress(idle: Queue) -> None:
    hand_in(idle, picture())
    taken = idle.take()
    assert taken and idle.facts()[0]["restoring"]["left"] is None
    taken[1].started -= 10  # seconds ago
    idle.end(*taken)
    hand_in(idle, picture(96, 64))  # twice as large
    taken = idle.take()

    assert taken and idle.facts()[1]["restoring"]["left"] == pytest.approx(20, abs=0.5)
    taken[1].started -= 3
    idle.report(*taken, 0.75)
    assert idle.facts()[1]["restoring"]["left"] == pytest.approx(1, abs=0.2)


def test_a_task_begins_unasked() -> None:
    fresh = Picture(number=1, name="a", size=1, folder=Path("x"))
    assert (fresh.restoring.state, fresh.branches.state) == (State.SENDING, State.NONE)
    assert replace(fresh, name="..").download_name == "picture-restored"
