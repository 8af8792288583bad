"""Cut frames and their masks into crops and write them as a pack; change the threshold of a pack."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prep import parallel
from prep.arrays import Bytes, Codes, Size
from prep.datasets.layouts import Dataset, Pair
from prep.errors import PackError
from prep.io import files, frames, storage
from prep.io.journal import Journal
from prep.io.storage import ArchiveMember, FileStamp, Source
from prep.masks import equations
from prep.masks.folder import MasksFolder, Recipe
from prep.packs import crops, layout, reader, writer
from prep.packs.layout import FrameCrops, Header
from prep.packs.writer import EncodedCrops, Writer
from prep.sharpness import METHODS

CROP = 512


@dataclass(frozen=True, kw_only=True)
class PackTask:
    """A pair to cut and encode in a thread."""

    pair: Pair
    sharpness_path: Path
    header: Header


def crop_size(pairs: Sequence[Pair], side: int | None) -> Size:
    """Return the crop's ``(height, width)``: ``side`` for both, or the frames' largest height and width for None.

    Reads the first pair, to refuse a crop that does not fit before the long work.

    Raises:
        PackError: If the crop is larger than the first frame, or the pair's sizes differ.
        FrameError: If a frame cannot be read.
    """
    blurry, _ = _read(pairs[0])
    if side is None:
        heights, widths = zip(*frame_sizes(pairs), strict=True)
        return max(heights), max(widths)
    grid((blurry.shape[0], blurry.shape[1]), (side, side), pairs[0].key)
    return side, side


def frame_sizes(pairs: Sequence[Pair]) -> list[Size]:
    """Read the sizes of the blurry frames from their headers.

    Raises:
        FrameError: If a frame cannot be read.
    """
    return [frames.size_of(pair.blurry) for pair in pairs]


def common_mu(masks: MasksFolder, pairs: Sequence[Pair], mu: float | None, method: str) -> float:
    """Return the threshold of a pack: ``mu`` if given, else that of the masks folder, else the method's usual one.

    Raises:
        PackError: If the masks in the folder have different thresholds.
    """
    if mu is not None:
        return mu
    mus = masks.mus(pair.key for pair in pairs)
    if len(mus) > 1:
        listed = " and ".join(f"{each:g}" for each in mus)
        raise PackError(f"the masks in {masks.path} were made with mu = {listed}; choose one with --mu")
    of_others = masks.mus(masks.records)  # masks of the same folder should not differ
    return mus[0] if mus else of_others[0] if len(of_others) == 1 else METHODS[method].mu


def header(
    dataset: Dataset,
    split: str,
    recipe: Recipe,
    mu: float,
    crop: Size,
    *,
    whole_frames: bool,
    targets: bool,
    excluded: Sequence[str] = (),
    is_padded: bool = False,
) -> Header:
    """Return the attributes of a new pack.

    ``excluded`` lists the keys of frames to leave out; ``is_padded`` is for whole frames of several sizes.
    """
    return Header(
        layout=dataset.layout,
        split=split,
        variant=dataset.variant,
        mu=mu,
        method=recipe.method,
        method_parameters=json.dumps(recipe.parameters, sort_keys=True),
        crop=crop,
        whole_frames=whole_frames,
        has_targets=targets,
        tool_version=version("cdgnet"),
        excluded=json.dumps(sorted(excluded)),
        is_padded=is_padded,
    )


def check_target(path: Path) -> None:
    """Refuse a path that can never become a pack, before the long work.

    Raises:
        PackError: If ``path`` exists and is not a pack.
    """
    if path.is_dir():
        raise PackError(f"{path} is a folder; --out takes the name of a file")
    if path.exists():
        try:
            reader.open_pack(path).close()
        except PackError as error:
            raise PackError(f"{path} exists and is not a pack; choose another --out, or remove it") from error


def is_finished(path: Path, header: Header, keys: Sequence[str], sources: Iterable[Source]) -> bool:
    """Return whether a pack exists that need not be made again; one that differs is never replaced unasked.

    Args:
        path: The pack.
        header: The attributes that it should have. The version of the tool does not matter.
        keys: Keys of the frames that it should contain, in order.
        sources: What it is made from. Sources that no longer exist are ignored.

    Raises:
        PackError: If the pack has other attributes or frames, or a source is newer.
    """
    if not path.exists():
        return False
    pack = reader.read_info(path)
    difference = layout.difference(pack.header, header)
    if not difference and [frame.key for frame in pack.frames] != list(keys):
        difference = "other frames"
    if difference:
        raise PackError(f"{path} exists, with {difference}; use --force to replace it, or choose another --out")
    made = path.stat().st_mtime_ns
    on_disk = {source.archive if isinstance(source, ArchiveMember) else source for source in sources}
    newer = sorted(file for file in on_disk if file.exists() and file.stat().st_mtime_ns > made)
    if newer:
        raise PackError(f"{path} exists, but {newer[0]} is newer; use --force to replace it, or choose another --out")
    return True


def is_begun(path: Path) -> bool:
    """Return whether an unfinished pack of this name exists."""
    return Journal.is_begun(layout.part_path(path))


def pack(
    pairs: Sequence[Pair], masks: MasksFolder, out: Path, header: Header, *, jobs: int, restart: bool = False
) -> Iterator[str]:
    """Write a pack, and yield each frame's key once it is stored; rename the file to ``out`` after the last frame.

    An unfinished pack continues from its last commit; the result is the same as without an interruption. Stamps show
    which frames changed in between, as in ``making.plan``.

    Args:
        pairs: The pairs to pack.
        masks: Masks folder with S of each pair.
        out: The pack; replaced if it exists.
        header: The pack's attributes.
        jobs: Number of threads, which decode, cut and compress in libraries that release the GIL; processes would have
            to send crops.
        restart: Discard an unfinished pack with other attributes or frames.

    Raises:
        PackError: If sizes differ, a crop does not fit, another process is writing this pack, or it was begun with
            other settings.
        FrameError: If a frame cannot be read. ``out`` is not written then.
    """
    sources = {pair.key: _sources(pair, masks.sharpness_path(pair.key)) for pair in pairs}

    def is_current(key: str, made_of: str) -> bool:
        stamps = files.as_type(json.loads(made_of), list[FileStamp], str(out))
        return all(storage.current_stamp(source, stamp) for source, stamp in zip(sources[key], stamps, strict=True))

    with Writer(out, header, list(sources), is_current, restart=restart) as pack_writer:
        yield from pack_writer.done
        tasks = [
            PackTask(pair=_absolute(pair), sharpness_path=masks.sharpness_path(pair.key).absolute(), header=header)
            for pair in pairs[len(pack_writer.done) :]
        ]
        for encoded in parallel.in_threads(tasks, encode_pair, jobs, ahead=4):
            pack_writer.append(encoded)
            yield encoded.key


def remask(path: Path, mu: float, out: Path, *, restart: bool = False) -> Iterator[str]:
    """Write a pack again with another threshold, from the S that it stores, and yield the key of each frame.

    After an interruption, the same call continues. ``out`` does not change until the end.

    Args:
        path: The pack.
        mu: Threshold of S.
        out: Path of the new pack; may be ``path`` itself.
        restart: As in ``pack``.

    Raises:
        PackError: If ``path`` is damaged or not a pack, or ``out`` was begun with other settings.
    """
    with reader.open_pack(path) as file:
        info = reader.info_of(file)
        header = replace(info.header, mu=mu, tool_version=version("cdgnet"))
        made_of = {frame.key: reader.made_of(file, frame) for frame in info.frames}

        def is_current(key: str, was: str) -> bool:
            return was == made_of[key]

        with Writer(out, header, list(made_of), is_current, restart=restart) as pack_writer:
            yield from pack_writer.done
            for frame in info.frames[len(pack_writer.done) :]:
                cut = reader.read_crops(file, frame)
                cut = replace(cut, mask=equations.mask_of_codes(cut.sharpness, mu))
                pack_writer.append(writer.encode(cut, has_targets=header.has_targets))
                yield frame.key


def _absolute(pair: Pair) -> Pair:
    """Return the pair with absolute paths."""
    return replace(pair, blurry=storage.absolute(pair.blurry), sharp=storage.absolute(pair.sharp))


def encode_pair(task: PackTask) -> EncodedCrops:
    """Read, cut and encode one pair."""
    return writer.encode(cut_pair(task), has_targets=task.header.has_targets)


def cut_pair(task: PackTask) -> FrameCrops:
    """Read one pair and its S, and cut them along the grid.

    Raises:
        PackError: If the sizes differ or the crop does not fit.
        FrameError: If a picture cannot be read.
    """
    sources = _sources(task.pair, task.sharpness_path)
    contents, stamps = zip(*map(storage.read_stamped, sources), strict=True)
    blurry, sharp = _decode(task.pair, *contents[:2])
    codes = frames.decode_sharpness(contents[2], task.sharpness_path)
    size = (blurry.shape[0], blurry.shape[1])
    if codes.shape != size:
        raise PackError(
            f"{task.sharpness_path} is {_by(codes)}, but its frame is {_by(blurry)}; run cdg-prep masks again"
        )
    height, width = task.header.crop
    is_larger = size[0] > height or size[1] > width
    if task.header.whole_frames and (is_larger if task.header.is_padded else size != task.header.crop):
        raise PackError(
            f"{task.pair.key} is {_by(blurry)}, but the pack is for frames of {width} x {height}; use --crop N"
        )
    if task.header.is_padded:
        blurry, sharp, codes = (_padded(each, task.header.crop) for each in (blurry, sharp, codes))
    origins = grid((blurry.shape[0], blurry.shape[1]), task.header.crop, task.pair.key)
    mask = equations.mask_of_codes(codes, task.header.mu)
    windows = [np.s_[y : y + height, x : x + width] for y, x in origins]
    return FrameCrops(
        key=task.pair.key,
        origins=np.array(origins, np.int32),
        blurry=np.stack([blurry[window] for window in windows]),
        sharp=np.stack([sharp[window] for window in windows]),
        mask=np.stack([mask[window] for window in windows]),
        sharpness=np.stack([codes[window] for window in windows]),
        made_of=json.dumps([asdict(stamp) for stamp in stamps]),
        size=size if task.header.is_padded else None,
    )


def _padded(picture: npt.NDArray[Any], size: Size) -> npt.NDArray[Any]:
    """Pad a picture to ``size`` with zeros at the bottom and the right."""
    padded = np.zeros((*size, *picture.shape[2:]), picture.dtype)
    padded[: picture.shape[0], : picture.shape[1]] = picture
    return padded


def grid(size: Size, crop: Size, key: str) -> list[crops.Origin]:
    """Return the grid of crops over a frame.

    Raises:
        PackError: If the crop does not fit.
    """
    try:
        return crops.grid(size, crop)
    except ValueError as error:
        raise PackError(f"frame {key}: {error}; use --crop {min(size)} or less") from error


def sources_of(pairs: Sequence[Pair], masks: MasksFolder) -> Iterator[Source]:
    """Yield all files that the pack of ``pairs`` is made from."""
    for pair in pairs:
        yield from _sources(pair, masks.sharpness_path(pair.key))


def _sources(pair: Pair, sharpness_path: Path) -> tuple[Source, Source, Source]:
    """Return the files that the crops of a frame are made from."""
    return pair.blurry, pair.sharp, sharpness_path


def _read(pair: Pair) -> tuple[Bytes, Bytes]:
    return _decode(pair, storage.read(pair.blurry), storage.read(pair.sharp))


def _decode(pair: Pair, blurry_bytes: bytes, sharp_bytes: bytes) -> tuple[Bytes, Bytes]:
    blurry, sharp = frames.decode_rgb8(blurry_bytes, pair.blurry), frames.decode_rgb8(sharp_bytes, pair.sharp)
    if blurry.shape != sharp.shape:
        raise PackError(f"{pair.blurry} is {_by(blurry)}, {pair.sharp} is {_by(sharp)}; make both the same size")
    return blurry, sharp


def _by(picture: Bytes | Codes) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"
