"""The frames to score: from a pack, a data set, or folders with another program's results.

Legend: H, W a frame's height and width.
"""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.errors import EvaluationError
from pipelines.evaluate.mask_source import DEFAULT_MASKS, Contents, MaskSource
from pipelines.packs import Frame, read_frame, tensor_of, to_tensor
from prep.arrays import Bytes, Codes
from prep.datasets import layouts, tree_pairs
from prep.datasets.layouts import Pair
from prep.io import extents, files, frames, storage
from prep.io.storage import FileStamp, Source
from prep.masks import equations, making
from prep.packs import reader
from prep.sharpness import paired
from prep.units import counted

if TYPE_CHECKING:
    from torch import Tensor

OWN_MAPS = "the data set's own maps"
MEASURED = "S of paired, which measures them between the blurry frame and its sharp partner"
EXTENT_SOURCES = {"paired": MEASURED, "extent": "S of extent, which stands for the data set's own maps"}  # by method
RULES = "whole frames; RGB, rounded to 8 bits, mean over images"


@dataclass(frozen=True, kw_only=True)
class EvaluationFrame:
    """One frame to score."""

    key: str  # sequence/name
    sharp: "Tensor | None"  # (3, H, W) uint8; None for a photograph, which has no sharp frame
    blurry: "Tensor | None"  # the same; None if there are only results
    mask: "Tensor | None"  # (1, H, W) uint8, 0 or 1; None if the frame has no mask
    restored: "Tensor | None" = None  # another program's result; None if a network restores the blurry frame
    extent: "Tensor | None" = None  # (1, H, W) float32, pixels of blur, NaN where unknown; None if all is unknown

    @property
    def truth(self) -> "Tensor":
        """The sharp frame of a frame that must have one."""
        assert self.sharp is not None
        return self.sharp


class FrameSource(ABC):
    """Frames to score, accessed by number; they may be read in another process."""

    name: str  # used in the name of the scores folder
    layout: str = ""  # layout of the data set; empty if it has no known one
    folders: Sequence[Path] = ()  # the folders that contain the frames, if any
    orphans: Sequence[Source] = ()  # frames in these folders without a partner; not scored
    keys: Sequence[str]
    identity: dict[str, Any]  # identifies the frames and masks, as JSON
    protocol: str  # how they are scored, in one line
    extent_source: str = ""  # source of the blur's extent; empty if the extent is unknown
    is_aligned: bool = False  # whether each picture is aligned to its sharp frame before scoring
    has_truth: bool = True  # whether there are sharp frames
    scored: str = "restored"  # what is scored, apart from the blurry frames

    def set_extent_source(self, source: str) -> None:
        """Set the source of the extent, if not empty, and add it to the identity and the protocol."""
        if source:
            self.extent_source = self.identity["extents"] = source
            self.protocol += f"; extents by {source}"

    def size(self) -> tuple[int, int]:
        """Return the height and width of the first frame."""
        frame = self[0]
        picture = frame.restored if frame.blurry is None else frame.blurry
        assert picture is not None
        height, width = picture.shape[1:]
        return height, width

    def __len__(self) -> int:
        return len(self.keys)

    @abstractmethod
    def sources(self, number: int) -> Sequence[Source]:
        """Return the files that a frame is read from, except those whose content ``identity`` already covers."""

    def sources_of_all(self) -> dict[str, Sequence[Source]]:
        """Return the ``sources`` of all frames, by key."""
        return {key: self.sources(number) for number, key in enumerate(self.keys)}

    @abstractmethod
    def decode(self, number: int, contents: Contents) -> EvaluationFrame:
        """Decode a frame from the bytes of its ``sources``."""

    def __getitem__(self, number: int) -> EvaluationFrame:
        """Read one frame."""
        return self.decode(number, {source: storage.read(source) for source in self.sources(number)})

    def read_stamped(self, number: int) -> tuple[EvaluationFrame, Sequence[FileStamp]]:
        """Read a frame, and return it with the stamps of the files as they were when read."""
        sources = self.sources(number)
        read = {source: storage.read_stamped(source) for source in dict.fromkeys(sources)}
        frame = self.decode(number, {source: data for source, (data, _) in read.items()})
        return frame, [read[source][1] for source in sources]


class PackFrames(FrameSource):
    """The frames of a pack, assembled from crops if the pack stores crops.

    Args:
        path: The pack.
        masks: The source of M. By default the pack's own masks if they come from known extents of the blur, otherwise
            masks computed by ``paired``.

    Raises:
        EvaluationError: If a mask is missing.
        PackError: If the file is not a pack.
    """

    def __init__(self, path: Path, masks: MaskSource = DEFAULT_MASKS) -> None:
        self.path, self.name = path, path.stem
        self.info = info = reader.read_info(path)
        header, self.rows = info.header, {frame.key: frame.rows for frame in info.frames}
        self.layout = header.layout
        self.keys = list(self.rows)
        self.masks = masks.resolved(own=(header.method, header.mu))
        self.masks.check(self.keys)
        self.has_own_maps = self.masks.method == header.method and self.masks.folder is None
        self.identity = {"pack": reader.content_checksum([info]), "method": self.masks.method, "mu": self.masks.mu}
        kind = " ".join(filter(None, (header.layout, header.variant, header.split)))
        self.protocol = f"{kind}: {RULES}; {self.masks.describe()}"
        self.set_extent_source(EXTENT_SOURCES.get(self.masks.method, ""))

    def sources(self, number: int) -> Sequence[Source]:
        return self.masks.sources(self.keys[number])

    def decode(self, number: int, contents: Contents) -> EvaluationFrame:
        key = self.keys[number]
        whole = read_frame([self.info], Frame(0, key), self.rows[key])
        codes = whole.sharpness
        if not self.has_own_maps:
            blurry, sharp = (np.ascontiguousarray(each.permute(1, 2, 0)) for each in (whole.blurry, whole.sharp))
            codes = self.masks.sharpness(key, blurry, sharp, contents)
        extent = _measured_extent(codes) if self.extent_source else None
        mask = self.masks.mask(codes)
        return EvaluationFrame(key=key, sharp=whole.sharp, blurry=whole.blurry, mask=mask, extent=extent)


def _measured_extent(codes: Codes) -> "Tensor":
    """Convert S of ``paired`` or ``extent`` to the extent, ``(1, H, W)`` in pixels; NaN where it is unknown."""
    extent = paired.extent_of(np.asarray(codes / equations.LEVELS, np.float32))
    return tensor_of(np.where(codes > 0, extent, np.float32(np.nan)))[None]


def decode_extent(data: bytes, source: Source, size: tuple[int, ...]) -> "Tensor":
    """Decode a map of extents, ``(1, H, W)`` float32 in pixels, NaN where unknown.

    Raises:
        EvaluationError: If the map's size is not ``size``, (height, width).
        FrameError: If the map is damaged.
    """
    codes = extents.decode(data, source)
    if codes.shape != size:
        raise EvaluationError(
            f"{source} is {codes.shape[1]} x {codes.shape[0]} pixels and its frame {size[1]} x {size[0]}; make the map "
            "again"
        )
    return tensor_of(extents.to_pixels(codes))[None]


class PictureFrames(FrameSource):
    """Pairs of a data set, or another program's results with the sharp frames of the same names.

    Args:
        name: What the pictures are, for the protocol.
        pairs: The pairs to score. With ``are_results``, ``blurry`` of a pair is a result.
        masks: The source of M, which needs blurry frames; None for no masks.
        are_results: Whether the pairs hold results.
        blurry: The blurry frames of the results, by key, with ``are_results``; if empty, only the results are scored.

    Raises:
        EvaluationError: If a mask is missing.
        MaskError: If the masks are of other frames than the pairs'.
    """

    def __init__(
        self,
        name: str,
        pairs: Sequence[Pair],
        masks: MaskSource | None,
        *,
        are_results: bool = False,
        blurry: Mapping[str, Source] | None = None,
    ) -> None:
        self.name, self.pairs, self.masks, self.are_results = name, pairs, masks, are_results
        self.blurry = blurry or {}
        self.keys = [pair.key for pair in pairs]
        paths = [str(storage.absolute(source)) for pair in pairs for source in (pair.blurry, pair.sharp)]
        self.extent_maps = [source for pair in pairs if (source := extents.find(pair.sharp)) is not None]
        # Maps of only some frames are ignored, because the protocol could not tell which frames have one.
        self.has_extent_maps = len(self.extent_maps) == len(pairs)
        self.identity = {"pictures": zlib.crc32(files.encoded("\n".join(paths))), "count": len(pairs)}
        self.protocol = f"{name}: {RULES}"
        if masks is not None:
            masks = self.masks = masks.resolved(has_extents=self.has_extent_maps)
            masks.check(self.keys)
            if masks.folder is None and masks.method == "extent" and not self.has_extent_maps:
                lacking = next(pair.key for pair in pairs if extents.find(pair.sharp) is None)
                raise EvaluationError(
                    f"{lacking} has no map of blur lengths (extent/ beside sharp/); use another --method"
                )
            if masks.folder is not None and not are_results:
                making.check_frames(pairs, masks.folder)
            self.identity |= {"method": masks.method, "mu": masks.mu}
            self.protocol += f"; {masks.describe()}"
        self.has_blurry = not are_results or bool(self.blurry)
        is_measured = masks is not None and masks.method == "paired" and self.has_blurry
        self.set_extent_source(OWN_MAPS if self.has_extent_maps else MEASURED if is_measured else "")

    def sources(self, number: int) -> Sequence[Source]:
        pair = self.pairs[number]
        blurry = [self.blurry[pair.key]] if pair.key in self.blurry else []
        extent = [self.extent_maps[number]] if self.has_extent_maps else []
        return [pair.blurry, pair.sharp, *blurry, *extent, *(self.masks.sources(pair.key) if self.masks else ())]

    def decode(self, number: int, contents: Contents) -> EvaluationFrame:
        pair = self.pairs[number]
        picture, sharp = (frames.decode_rgb8(contents[source], source) for source in (pair.blurry, pair.sharp))
        _check_sizes(picture, sharp, pair.blurry, pair.sharp)
        restored, blurry = (picture, None) if self.are_results else (None, picture)
        if self.are_results and (source := self.blurry.get(pair.key)) is not None:
            blurry = frames.decode_rgb8(contents[source], source)
            _check_sizes(blurry, sharp, source, pair.sharp)
        mask, extent = None, None
        if self.masks is not None and blurry is not None:
            extent_map = self.extent_maps[number] if self.has_extent_maps else None
            codes = self.masks.sharpness(pair.key, blurry, sharp, contents, extent_map)
            mask = self.masks.mask(codes)
            extent = _measured_extent(codes) if self.masks.method == "paired" else None
        if self.has_extent_maps:
            source = self.extent_maps[number]
            extent = decode_extent(contents[source], source, sharp.shape[:2])
        return EvaluationFrame(
            key=pair.key,
            sharp=to_tensor(sharp),
            blurry=None if blurry is None else to_tensor(blurry),
            mask=mask,
            restored=None if restored is None else to_tensor(restored),
            extent=extent,
        )


class BlurryFrames(FrameSource):
    """The blurry frames of a source, scored like restored frames: the baseline that a network must beat."""

    def __init__(self, source: FrameSource) -> None:
        self.source, self.name, self.folders, self.keys = source, f"{source.name}-blurry", source.folders, source.keys
        self.orphans = source.orphans
        self.identity = {**source.identity, "restored": "nothing"}
        self.protocol, self.scored = f"{source.protocol}; the blurry frames themselves", "blurry"
        self.extent_source, self.is_aligned = source.extent_source, source.is_aligned
        self.has_truth = source.has_truth

    def sources(self, number: int) -> Sequence[Source]:
        return self.source.sources(number)

    def decode(self, number: int, contents: Contents) -> EvaluationFrame:
        frame = self.source.decode(number, contents)
        return replace(frame, restored=frame.blurry, blurry=None)


def dataset_frames(root: Path, layout: str | None, variant: str | None, split: str, masks: MaskSource) -> PictureFrames:
    """Return the pairs of a data set, read in place.

    Raises:
        DatasetError: If there is no data set, or several.
        EvaluationError: If a mask is missing.
    """
    dataset = layouts.find(root, layout, variant)
    kind = " ".join(filter(None, (dataset.layout, dataset.variant, split)))
    source = PictureFrames(kind, dataset.select(split), masks)
    source.name, source.folders, source.orphans = f"{dataset.name}-{split}", dataset.folders, dataset.orphans
    source.layout = dataset.layout
    return source


def pair_frames(blurry: Path, sharp: Path, masks: MaskSource) -> PictureFrames:
    """Return the pairs of two folders or patterns, as found by ``tree_pairs.find_pairs``.

    Raises:
        DatasetError: If nothing pairs.
        EvaluationError: If a mask is missing.
    """
    dataset = tree_pairs.find_pairs(blurry, sharp)
    source = PictureFrames(f"pictures of {blurry} and {sharp}", dataset.pairs, masks)
    source.name, source.folders, source.orphans = tree_pairs.name_of(blurry), dataset.folders, dataset.orphans
    source.layout = dataset.layout
    return source


def result_frames(restored: Path, sharp: Path, blurry: Path | None, masks: MaskSource) -> PictureFrames:
    """Return another program's results with their sharp and, if given, blurry frames; each is a folder or a pattern.

    Raises:
        DatasetError: If nothing pairs, or a result has no sharp frame of its name.
        EvaluationError: If a result has no blurry frame of its name.
    """
    dataset = tree_pairs.find_pairs(restored, sharp, ("--restored", "--sharp"), whole=True)
    pairs, folders = dataset.pairs, dataset.folders
    blurry_of: dict[str, Source] = {}
    if blurry is not None:
        of_blurry = tree_pairs.find_pairs(blurry, sharp)
        known = {pair.sharp: pair for pair in of_blurry.pairs}
        missing = [pair.key for pair in pairs if pair.sharp not in known]
        if missing:
            raise EvaluationError(
                f"{blurry} has no frame {missing[0]} (missing: {counted(len(missing), 'frame')}); add what is missing"
            )
        pairs = tuple(replace(known[pair.sharp], blurry=pair.blurry) for pair in pairs)  # keys as in a masks folder
        blurry_of = {pair.key: known[pair.sharp].blurry for pair in pairs}
        folders = (*folders, *of_blurry.folders)
    kind = f"pictures of {restored} against {sharp}"
    source = PictureFrames(kind, pairs, masks if blurry is not None else None, are_results=True, blurry=blurry_of)
    source.name, source.folders, source.orphans = tree_pairs.name_of(restored), folders, dataset.orphans
    return source


def _check_sizes(picture: Bytes, sharp: Bytes, source: Source, sharp_source: Source) -> None:
    if picture.shape != sharp.shape:
        sizes = " and ".join(f"{each.shape[1]} x {each.shape[0]}" for each in (picture, sharp))
        raise EvaluationError(f"{source} and {sharp_source} are {sizes} pixels; both must have the same size")
