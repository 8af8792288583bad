"""DMPHN's published files as weights of ours: their layout with weights of no training, and what is refused."""

import io
import json
import os
import pickle
import shutil
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from commands import call, mistake
from plain_dmphn import PlainDMPHN
from torch import Tensor, nn

from cdgnet import load_weights, read_metadata
from pipelines.dmphn import find, read
from pipelines.errors import CheckpointError


def save(plain: PlainDMPHN, folder: Path) -> Path:
    folder.mkdir()
    for part, modules in (("encoder", plain.encoders), ("decoder", plain.decoders)):
        for level, module in enumerate(modules, start=1):
            torch.save(module.state_dict(), folder / f"{part}_lv{level}.pkl")
    return folder


@pytest.fixture(scope="module")
def plain() -> PlainDMPHN:
    return PlainDMPHN(3)


@pytest.fixture(scope="module")
def published(plain: PlainDMPHN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(plain, tmp_path_factory.mktemp("checkpoints") / "DMPHN_1_2_4")


@pytest.fixture
def own(published: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(published, tmp_path / "own"))


def frame_of(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1)) - 0.5


def test_a_file_in_place_of_the_folder_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "weights.pkl").write_bytes(b"")
    said = mistake(tmp_path, "imports", "dmphn", "weights.pkl")
    assert "weights.pkl is a file; pass the folder that contains encoder_lv1.pkl" in said


def test_six_files_become_weights_that_restore_as_dmphn_does(
    plain: PlainDMPHN, published: Path, tmp_path: Path
) -> None:
    done = call(tmp_path, "imports", "dmphn", published)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "wrote dmphn-1-2-4.safetensors: DMPHN 1-2-4, 5,424,393 parameters from 6 files, 22 MB",
        "deblur:  cdg-deblur photo.jpg --weights dmphn-1-2-4.safetensors",
        "score:   cdg-eval --weights dmphn-1-2-4.safetensors --h5 gopro-test.h5",
    ]
    network, frame = load_weights(tmp_path / "dmphn-1-2-4.safetensors"), frame_of(32, 40)
    assert network.config.variant == "dmphn-1-2-4"
    with torch.no_grad():
        # float32: the same sums, which may be added up in another order.
        torch.testing.assert_close(network(frame).restored, plain(frame), rtol=0, atol=1e-5)
    about = read_metadata(tmp_path / "dmphn-1-2-4.safetensors")
    assert (about["name"], about["method"]) == ("DMPHN 1-2-4", "cdg-import dmphn")
    sums = {path.name: sha256(path.read_bytes()).hexdigest() for path in published.iterdir()}
    assert json.loads(about["sha256"]) == sums and len(sums) == 6


@pytest.mark.slow
def test_eight_files_become_four_levels(tmp_path: Path) -> None:
    plain, frame = PlainDMPHN(4), frame_of(32, 24)

    network, about = read(find(save(plain, tmp_path / "DMPHN_1_2_4_8")))

    assert (network.config.variant, about["name"]) == ("dmphn-1-2-4-8", "DMPHN 1-2-4-8")
    with torch.no_grad():
        torch.testing.assert_close(network(frame).restored, plain(frame), rtol=0, atol=1e-5)


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes text as Python 2 did, with which the published files were written."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_text(self, text: str) -> None:
        data = text.encode()
        self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        self.memoize(text)

    dispatch[str] = save_text


def as_in_2018(state: dict[str, Tensor], path: Path) -> None:
    """Save as torch 0.4 did, from a GPU: no zip archive, storages that name their device, text of Python 2."""
    module: Any = ModuleType("python2pickle")
    module.Pickler = Python2Pickler
    module.dump = lambda value, file, protocol: Python2Pickler(file, protocol).dump(value)
    target = io.BytesIO()
    torch.save(state, target, pickle_module=module, _use_new_zipfile_serialization=False)
    content = target.getvalue()
    assert b"ctorch\nFloatStorage\n" in content and b"U\x03cpu" in content
    content = content.replace(b"ctorch\nFloatStorage\n", b"ctorch.cuda\nFloatStorage\n")
    path.write_bytes(content.replace(b"U\x03cpu", b"U\x06cuda:0"))


def with_prefix(state: dict[str, Tensor], path: Path) -> None:
    torch.save(OrderedDict((f"module.{name}", tensor) for name, tensor in state.items()), path)


def as_parameters(state: dict[str, Tensor], path: Path) -> None:
    torch.save({name: nn.Parameter(tensor.half()) for name, tensor in state.items()}, path)


@pytest.mark.parametrize("write", [as_in_2018, with_prefix, as_parameters])
def test_files_of_old_torch_of_several_gpus_and_of_half_precision_are_read(
    write: Callable[[dict[str, Tensor], Path], None], plain: PlainDMPHN, own: Path
) -> None:
    state = plain.encoders[1].state_dict()
    write(state, own / "encoder_lv2.pkl")

    network, _ = read(find(own))

    found = network.state_dict()["levels.2.encoder.half_level.1.body.2.weight"]
    # Of half precision eleven bits are left.
    torch.testing.assert_close(found, state["layer6.2.weight"], rtol=1e-3 if write is as_parameters else 0, atol=1e-6)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_file_is_named_and_never_run(own: Path, tmp_path: Path) -> None:
    for content in (Evil(tmp_path / "hacked"), {"layer1.weight": Evil(tmp_path / "hacked")}):
        for is_zip in (True, False):
            torch.save(content, own / "decoder_lv2.pkl", _use_new_zipfile_serialization=is_zip)
            said = mistake(tmp_path, "imports", "dmphn", own)
            assert "mkdir, which is code, and code in a checkpoint is never run" in said
    (own / "decoder_lv2.pkl").write_bytes(pickle.dumps(Evil(tmp_path / "hacked")))
    assert "decoder_lv2.pkl: " in mistake(tmp_path, "imports", "dmphn", own)
    assert not (tmp_path / "hacked").exists() and not (tmp_path / "dmphn-1-2-4.safetensors").exists()


def test_a_whole_module_is_refused(own: Path, plain: PlainDMPHN) -> None:
    torch.save(plain.encoders[0], own / "encoder_lv1.pkl")
    with pytest.raises(
        CheckpointError, match=r"encoder_lv1\.pkl: contains plain_dmphn\.Chain, which is code.*state_dict"
    ):
        read(find(own))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", ""),
        (b"<!doctype html>\n<html>", ""),
        (b"version https://git-lfs.github.com/spec/v1\n", ""),
        (b"PK\x03\x04" + bytes(200), r" \(\w[^()\n]{5,100}\)"),  # torch's own words
        (None, r" \(\w[^()\n]{5,100}\)"),  # a whole file cut short
    ],
)
def test_a_file_that_is_no_checkpoint_is_one_line(own: Path, content: bytes | None, reason: str) -> None:
    path = own / "encoder_lv3.pkl"
    path.write_bytes(path.read_bytes()[:-5000] if content is None else content)
    wanted = f"{path}: not a checkpoint that torch can read safely{reason}; download it again$"
    with pytest.raises(CheckpointError, match=wanted):
        read(find(own))


def spoilt(state: dict[str, Tensor], fault: str) -> Any:
    """The state of an encoder with one fault."""
    if fault == "missing":
        del state["layer7.0.bias"]
    elif fault == "shape":
        state["layer1.weight"] = torch.zeros(32, 3, 5, 5)
    elif fault == "nan":
        state["layer1.bias"] = torch.full((32,), torch.nan)
    elif fault == "integer":
        state["layer1.bias"] = torch.zeros(32, dtype=torch.int64)
    elif fault == "sparse":
        state["layer1.bias"] = torch.zeros(32).to_sparse()
    elif fault == "list":
        return list(state.values())
    elif fault == "checkpoint":
        return {"epoch": 3, "state_dict": dict(state)}
    return state


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("missing", "is not DMPHN's Encoder: layer7.0.bias is missing; pass the published file"),
        ("shape", "is not DMPHN's Encoder: layer1.weight is (32, 3, 5, 5), not (32, 3, 3, 3); pass the published"),
        ("nan", "layer1.bias contains nan or inf"),
        ("integer", "layer1.bias is int64, not floating point"),
        ("sparse", "layer1.bias is torch.sparse_coo on cpu, not plain values"),
        ("list", "contains a list, not tensors by name"),
        ("checkpoint", "contains a dict, not tensors by name"),
    ],
)
def test_tensors_of_something_else_are_named(own: Path, plain: PlainDMPHN, fault: str, said: str) -> None:
    torch.save(spoilt(plain.encoders[2].state_dict(), fault), own / "encoder_lv3.pkl")
    with pytest.raises(CheckpointError) as caught:
        read(find(own))
    assert "encoder_lv3.pkl" in str(caught.value) and said in str(caught.value)


def test_a_decoder_in_an_encoders_place_is_seen(own: Path) -> None:
    shutil.copy(own / "decoder_lv1.pkl", own / "encoder_lv1.pkl")
    with pytest.raises(CheckpointError, match=r"is not DMPHN's Encoder: layer1.weight is missing, .* and \d+ more"):
        read(find(own))


def test_files_that_are_missing_or_too_many_are_named(own: Path, tmp_path: Path) -> None:
    (own / "decoder_lv2.pkl").rename(own / "decoder_lv5.pkl")
    said = mistake(tmp_path, "imports", "dmphn", own)
    assert (
        "own: decoder_lv2.pkl is missing, decoder_lv5.pkl does not belong to it; dmphn-1-2-4 has encoder_lv1.pkl"
        in said
    )
    (own / "decoder_lv5.pkl").rename(own / "decoder_lv2.pkl")
    (own / "encoder_lv4.pkl").touch()
    assert "own: decoder_lv4.pkl is missing; dmphn-1-2-4-8 has" in mistake(tmp_path, "imports", "dmphn", own)
    own.rename(tmp_path / "DMPHN_1_2_4_8")
    (tmp_path / "DMPHN_1_2_4_8" / "encoder_lv4.pkl").unlink()
    assert "encoder_lv4.pkl is missing, decoder_lv4.pkl is" in mistake(tmp_path, "imports", "dmphn", "DMPHN_1_2_4_8")


def test_a_folder_of_others_says_which_to_pass(own: Path, tmp_path: Path) -> None:
    said = mistake(tmp_path, "imports", "dmphn", ".")
    assert "contains no encoder_lv1.pkl or decoder_lv1.pkl; pass own" in said
    (tmp_path / "SDNet2").mkdir()
    (tmp_path / "SDNet2" / "encoder_s1_lv1.pkl").touch()
    assert "its files are of stacked networks, SDNet" in mistake(tmp_path, "imports", "dmphn", "SDNet2")


def test_only_weights_are_replaced_and_only_when_asked(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    out.write_bytes(b"mine")
    assert "w.safetensors exists; use --force" in mistake(tmp_path, "imports", "dmphn", published, "--out", out)
    said = mistake(tmp_path, "imports", "dmphn", published, "--out", out, "--force")
    assert "is not a weights file of cdgnet and is not overwritten" in said and out.read_bytes() == b"mine"
    out.unlink()
    for words in ((), ("--force",)):
        assert call(tmp_path, "imports", "dmphn", published, "--out", out, *words).returncode == 0
    assert "does not end in .safetensors" in mistake(tmp_path, "imports", "dmphn", published, "--out", "w.pkl")
