"""Pictures without sharp frames: photographs, and the results of networks or other programs.

Legend: H, W a picture's height and width.
"""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.errors import EvaluationError
from pipelines.evaluate.frame_sources import RULES, EvaluationFrame, FrameSource
from pipelines.evaluate.mask_source import Contents
from pipelines.packs import to_tensor
from prep.datasets import tree_pairs
from prep.io import files, frames, storage
from prep.io.storage import Source


class Photographs(FrameSource):
    """Pictures scored without sharp frames: blurry ones, restored ones, or both.

    Args:
        name: What the pictures are, for the protocol.
        blurry: Blurry photographs by key; empty if only results are scored.
        restored: Another program's results by key; empty if a network restores the blurry photographs.
    """

    has_truth = False

    def __init__(self, name: str, blurry: Mapping[str, Source], restored: Mapping[str, Source]) -> None:
        self.name, self.blurry, self.restored = name, blurry, restored
        self.keys = sorted(restored or blurry)
        paths = [str(storage.absolute(source)) for number in range(len(self.keys)) for source in self.sources(number)]
        kind = "+".join(kind for kind, given in (("blurry", blurry), ("restored", restored)) if given)
        checksum = zlib.crc32(files.encoded("\n".join(paths)))
        self.identity = {"photographs": checksum, "given": kind, "count": len(self.keys)}
        self.protocol = f"{name}, without sharp frames: {RULES}"

    def sources(self, number: int) -> Sequence[Source]:
        key = self.keys[number]
        return [given[key] for given in (self.blurry, self.restored) if given]

    def decode(self, number: int, contents: Contents) -> EvaluationFrame:
        key = self.keys[number]
        pictures = {source: frames.decode_rgb8(contents[source], source) for source in self.sources(number)}
        if len({picture.shape for picture in pictures.values()}) > 1:
            sizes = " and ".join(f"{each.shape[1]} x {each.shape[0]}" for each in pictures.values())
            raise EvaluationError(
                f"{' and '.join(map(str, pictures))} are {sizes} pixels; both must have the same size"
            )
        blurry, restored = (
            to_tensor(pictures[given[key]]) if given else None for given in (self.blurry, self.restored)
        )
        return EvaluationFrame(key=key, sharp=None, blurry=blurry, mask=None, restored=restored)


def find(restored: Path | None, blurry: Path | None) -> Photographs:
    """Find the pictures of a folder or pattern, or of two matched by name: results and blurry photographs.

    Raises:
        DatasetError: If there are no pictures, or a result has no photograph of the same name.
    """
    if restored is None or blurry is None:
        place, option = (blurry, "--blurry") if restored is None else (restored, "--restored")
        assert place is not None
        dataset, found = tree_pairs.find_frames(place, option)
        pictures: dict[str, Source] = {each.key: each.blurry for each in found}
        given: tuple[Mapping[str, Source], Mapping[str, Source]] = ({}, pictures) if blurry is None else (pictures, {})
        source, named = Photographs(f"pictures of {place}", *given), place
    else:
        dataset = tree_pairs.find_pairs(restored, blurry, ("--restored", "--blurry"), whole=True)
        results = {pair.key: pair.blurry for pair in dataset.pairs}  # ``blurry`` is from the first tree: results
        photographs = {pair.key: pair.sharp for pair in dataset.pairs}
        source, named = Photographs(f"pictures of {restored} and {blurry}", photographs, results), restored
    source.name, source.folders, source.orphans = tree_pairs.name_of(named), dataset.folders, dataset.orphans
    return source
