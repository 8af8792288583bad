"""Packs -> samples."""

import pickle
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pipelines import packs
from pipelines.errors import DataError
from pipelines.train.samples import Sample, TrainingSamples
from pipelines.train.split import Split, split_by_source
from prep import errors
from prep.io.frames import write
from prep.packs import packing, reader
from prep.packs.reader import read_info


def split_packs(paths: list[Path], held_out: Sequence[str] | None) -> Split:
    return split_by_source([read_info(path) for path in paths], held_out)


def samples(path: Path, crop: int = 32, seed: int = 0) -> TrainingSamples:
    return TrainingSamples([path], split_packs([path], ()).train, crop, seed)


def test_a_sample_depends_on_seed_and_number_alone(train_pack: Path) -> None:
    one, two, other = samples(train_pack), samples(train_pack), samples(train_pack, seed=1)
    one[3], one[11]  # reading others before changes nothing

    assert all(torch.equal(first, second) for first, second in zip(one[7], two[7], strict=True))
    assert not torch.equal(one[7].blurry, other[7].blurry)
    assert not torch.equal(one[7].blurry, one[7 + len(one.rows)].blurry)  # the next epoch's window is another


def test_an_epoch_shows_each_frame_once_in_an_order_of_its_own(train_pack: Path) -> None:
    stream = samples(train_pack)
    epochs = [[stream.frame_of(6 * epoch + place) for place in range(6)] for epoch in range(3)]

    assert all(set(epoch) == set(split_packs([train_pack], ()).train) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_blurry_sharp_and_mask_are_turned_together(train_pack: Path) -> None:
    with h5py.File(train_pack) as file:
        marked = {name: file[name][:] for name in ("blurry", "sharp", "mask")}
    windows = {}
    for index in range(len(marked["mask"])):
        for name in ("blurry", "sharp"):
            windows[name, index] = torch.from_numpy(marked[name][index].transpose(2, 0, 1).copy())

    stream = samples(train_pack, crop=48)  # the whole crop, so that only flips and turns are left
    turned = 0
    for number in range(24):
        sample = stream[number]
        matches = [
            (index, flip, turns)
            for index in range(len(marked["mask"]))
            for flip in (False, True)
            for turns in range(4)
            if torch.equal(sample.blurry, turn(windows["blurry", index], flip, turns))
        ]
        ((index, flip, turns),) = matches
        assert torch.equal(sample.sharp, turn(windows["sharp", index], flip, turns))
        assert torch.equal(sample.mask, turn(torch.from_numpy(marked["mask"][index])[None], flip, turns))
        turned += flip or turns > 0
    assert turned > 12


def turn(picture: torch.Tensor, flip: bool, turns: int) -> torch.Tensor:
    return torch.rot90(picture.flip(2) if flip else picture, turns, (1, 2))


def test_samples_survive_the_way_to_a_worker(train_pack: Path) -> None:
    stream = samples(train_pack)
    stream[0]

    copy = pickle.loads(pickle.dumps(stream))

    assert torch.equal(copy[5].sharp, stream[5].sharp)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_give_what_one_process_gives_from_any_step_on(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    monkeypatch.chdir(train_pack.parent)
    stream = samples(Path(train_pack.name))
    wanted = [stream[number] for number in range(4, 20)]  # also opens the pack before the fork
    monkeypatch.chdir(tmp_path)

    loader = DataLoader(stream, batch_size=4, sampler=range(4, 20), num_workers=2, multiprocessing_context=start)
    batches = list(loader)

    assert len(batches) == 4
    for place, name in enumerate(Sample._fields):
        assert torch.equal(
            torch.cat([batch[place] for batch in batches]), torch.stack([one[place] for one in wanted])
        ), name


def test_of_several_packs_each_frame_is_shown_once_an_epoch(train_pack: Path, test_pack: Path) -> None:
    paths = [train_pack, test_pack]
    stream = TrainingSamples(paths, split_packs(paths, ()).train, 32, 0)

    order = [stream.frame_of(3 * 8 + place) for place in range(8)]

    assert Counter(frame.pack for frame in order) == {0: 6, 1: 2}
    assert len(set(order)) == 8
    with h5py.File(test_pack) as file:
        whole = file["sharp"][:]
    place = next(place for place, frame in enumerate(order) if frame.pack == 1)
    window = stream[3 * 8 + place].sharp.numpy().transpose(1, 2, 0)
    assert any(is_part(window, frame) for frame in whole)


def is_part(window: np.ndarray, frame: np.ndarray) -> bool:
    side = len(window)
    places = [(y, x) for y in range(frame.shape[0] - side + 1) for x in range(frame.shape[1] - side + 1)]
    turned = [np.rot90(flipped, turns) for flipped in (window, window[::-1]) for turns in range(4)]
    return any(np.array_equal(frame[y : y + side, x : x + side], one) for y, x in places for one in turned)


def test_a_video_in_two_packs_is_held_out_of_both(train_pack: Path, tmp_path: Path) -> None:
    again = Path(shutil.copy(train_pack, tmp_path / "again.h5"))
    with h5py.File(again, "r+") as file:
        file["crc32"][0] += 1  # crops of another kind

    split = split_packs([train_pack, again], ("GOPR0002",))

    assert {(frame.pack, frame.key.partition("_")[0]) for frame in split.held_out} == {(0, "GOPR0002"), (1, "GOPR0002")}
    assert {frame.key.partition("_")[0] for frame in split.train} == {"GOPR0001"}


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("mu", 0.5, r"mu 0\.96, .*other\.h5 by lbp, mu 0\.5; make them equal \(cdg-prep remask"),
        ("method", "paired", r"masks by lbp, mu 0\.96, .*other\.h5 by paired"),
        ("variant", "blur_gamma", r"other\.h5 holds gopro blur_gamma, another pack blur"),
    ],
)
def test_packs_that_mean_different_things_are_refused(
    train_pack: Path, tmp_path: Path, attribute: str, value: object, said: str
) -> None:
    other = Path(shutil.copy(train_pack, tmp_path / "other.h5"))
    with h5py.File(other, "r+") as file:
        file.attrs[attribute] = value

    with pytest.raises(DataError, match=said):
        split_packs([train_pack, other], None)


def test_a_pack_with_a_crop_that_was_never_stored_is_refused(train_pack: Path, tmp_path: Path) -> None:
    holed = Path(shutil.copy(train_pack, tmp_path / "holed.h5"))
    with h5py.File(holed, "r+") as file:
        shape, chunks = file["blurry"].shape, file["blurry"].chunks
        del file["blurry"]
        file.create_dataset("blurry", shape, "u1", chunks=chunks)

    with pytest.raises(errors.PackError, match=r"holed\.h5: blurry lacks crops"):
        samples(holed)


def test_a_window_larger_than_the_crops_is_refused(train_pack: Path) -> None:
    with pytest.raises(
        DataError, match=r"a random crop of 49 pixels is larger than the 48 x 48 crops of .*; use --crop 48"
    ):
        samples(train_pack, crop=49)


def test_all_crops_of_a_recording_are_held_out_together(train_pack: Path) -> None:
    split = split_packs([train_pack], ("GOPR0001",))

    assert {frame.key.partition("_")[0] for frame in split.held_out} == {"GOPR0001"}
    assert {frame.key.partition("_")[0] for frame in split.train} == {"GOPR0002"}
    assert len(split.held_out) == 4


def test_by_default_the_source_nearest_a_twentieth_is_held_out(train_pack: Path, test_pack: Path) -> None:
    assert split_packs([train_pack], None).sources == ["GOPR0002"]  # 2 frames of 6, the other has 4
    assert split_packs([test_pack], None).held_out == {}  # one source only


def test_unknown_and_all_sources_are_refused(train_pack: Path) -> None:
    with pytest.raises(DataError, match="no source video GOPR9999; it has GOPR0001, GOPR0002"):
        split_packs([train_pack], ("GOPR9999",))
    with pytest.raises(DataError, match=r"nothing of .* is left to train on"):
        split_packs([train_pack], ("GOPR0001", "GOPR0002"))


def test_the_networks_range_is_half_around_zero() -> None:
    assert packs.to_range(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-0.5, 0.5]


def test_crops_are_read_whole_and_in_order(test_pack: Path) -> None:
    crops = list(packs.read_crops(read_info(test_pack)))

    assert [crop.key for crop in crops] == ["GOPR0003_00_00/000001", "GOPR0003_00_00/000002"]
    with reader.open_pack(test_pack) as file:
        assert np.array_equal(crops[1].sharp.numpy().transpose(1, 2, 0), file["sharp"][1])


def test_a_frame_is_put_together_from_its_crops(train_pack: Path, test_pack: Path) -> None:
    split = split_packs([test_pack], ())
    (frame, rows), *_ = split.train.items()
    (whole,) = packs.read_crops(read_info(test_pack), rows)  # a pack of whole frames

    joined = packs.read_frame([read_info(test_pack)], frame, rows)

    assert joined.key == whole.key
    assert all(torch.equal(getattr(joined, name), getattr(whole, name)) for name in ("blurry", "sharp", "mask"))


def test_a_frame_of_many_crops_agrees_with_each_of_them(train_pack: Path) -> None:
    (frame, rows), *_ = split_packs([train_pack], ()).train.items()

    joined = packs.read_frame([read_info(train_pack)], frame, rows)

    assert joined.mask.shape == (1, 64, 80)
    for crop in packs.read_crops(read_info(train_pack), rows):
        y, x = crop.origin
        assert torch.equal(joined.sharp[:, y : y + 48, x : x + 48], crop.sharp)


def test_another_mu_gives_the_masks_that_a_pack_of_that_mu_holds(train_pack: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    assert list(packing.remask(train_pack, 0.5, other))
    split = split_packs([train_pack], ())

    asked = TrainingSamples([train_pack], split.train, 32, seed=0, mu=0.5)
    packed = TrainingSamples([other], split.train, 32, seed=0)

    assert all(torch.equal(asked[number].mask, packed[number].mask) for number in range(12))
    assert any(asked[number].mask.any() for number in range(12))


def test_windows_never_show_what_is_padded(packing_of: Callable[..., Path], tmp_path: Path) -> None:
    for number, size in enumerate([(48, 64, 3), (64, 40, 3)], 1):
        for role in ("blur", "sharp"):
            write(tmp_path / "set" / "train" / f"GOPR000{number}_00_00" / role / "1.png", np.full(size, 9, np.uint8))
    pack = packing_of(tmp_path / "set", tmp_path, "train", None)

    shown = samples(pack, crop=32)

    assert read_info(pack).header.crop == (64, 64)
    assert all((shown[number].blurry == 9).all() for number in range(60))
    with pytest.raises(DataError, match="a random crop of 41 pixels is larger than the 40 x 64 crops"):
        samples(pack, crop=41)


def test_soft_masks_are_of_the_window_and_turned_with_it(train_pack: Path) -> None:
    frames = split_packs([train_pack], ()).train
    soft = TrainingSamples([train_pack], frames, 32, 0, mu=0.7, is_soft=True)
    hard = TrainingSamples([train_pack], frames, 32, 0, mu=0.7)
    for number in range(6):
        assert torch.equal(soft[number].blurry, hard[number].blurry)
        # Half of 255 lies at mu.
        assert torch.equal((soft[number].mask > 127).to(torch.uint8), hard[number].mask)
    assert len({int(value) for number in range(6) for value in soft[number].mask.flatten()}) > 2
