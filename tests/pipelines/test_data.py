"""Packs -> samples."""

import pickle
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from pipelines import data
from pipelines.data import DataError, TrainingSamples, split_by_source
from prep import store


def samples(path: Path, crop: int = 32, seed: int = 0) -> TrainingSamples:
    return TrainingSamples(path, split_by_source(path, ()).train, crop, seed)


def test_a_sample_depends_on_seed_and_number_alone(train_pack: Path) -> None:
    one, two, other = samples(train_pack), samples(train_pack), samples(train_pack, seed=1)
    one[3], one[11]  # reading others before changes nothing

    assert all(torch.equal(first, second) for first, second in zip(one[7], two[7], strict=True))
    assert not torch.equal(one[7].blurry, other[7].blurry)
    assert not torch.equal(one[7].blurry, one[7 + len(one.rows)].blurry)  # the next epoch's window is another


def test_an_epoch_shows_each_frame_once(train_pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = samples(train_pack)
    for epoch in range(3):
        order = [stream._order(epoch)[place] for place in range(len(stream.rows))]
        assert Counter(order) == Counter(range(6))
    assert list(stream._order(0)) != list(stream._order(1))


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
        found = [
            (index, flip, turns)
            for index in range(len(marked["mask"]))
            for flip in (False, True)
            for turns in range(4)
            if torch.equal(sample.blurry, turn(windows["blurry", index], flip, turns))
        ]
        ((index, flip, turns),) = found
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


def test_a_window_larger_than_the_crops_is_refused(train_pack: Path) -> None:
    with pytest.raises(DataError, match=r"window 49 is larger than the 48 x 48 crops of .*; pass --crop 48"):
        samples(train_pack, crop=49)


def test_all_crops_of_a_recording_are_held_out_together(train_pack: Path) -> None:
    split = split_by_source(train_pack, ("GOPR0001",))

    assert {key.partition("_")[0] for key in split.held_out} == {"GOPR0001"}
    assert {key.partition("_")[0] for key in split.train} == {"GOPR0002"}
    assert len(split.held_out) == 4


def test_by_default_the_source_nearest_a_twentieth_is_held_out(train_pack: Path, test_pack: Path) -> None:
    assert split_by_source(train_pack, None).sources == ["GOPR0002"]  # 2 frames of 6, the other has 4
    assert split_by_source(test_pack, None).held_out == {}  # one source only


def test_unknown_and_all_sources_are_refused(train_pack: Path) -> None:
    with pytest.raises(DataError, match="no source video GOPR9999; it has GOPR0001, GOPR0002"):
        split_by_source(train_pack, ("GOPR9999",))
    with pytest.raises(DataError, match=r"leaves nothing of .* to train on"):
        split_by_source(train_pack, ("GOPR0001", "GOPR0002"))


def test_the_networks_range_is_half_around_zero() -> None:
    assert data.to_range(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-0.5, 0.5]


def test_crops_are_read_whole_and_in_order(test_pack: Path) -> None:
    crops = list(data.read_crops(test_pack))

    assert [crop.key for crop in crops] == ["GOPR0003_00_00/000001", "GOPR0003_00_00/000002"]
    with store.open_pack(test_pack) as file:
        assert np.array_equal(crops[1].sharp.numpy().transpose(1, 2, 0), file["sharp"][1])
