"""What each method of ``cdg-prep masks`` makes of one frame whose blur is known: the figure of docs/masks.md.

Pairs come from ``cdg-prep synth``, which stores the true blur length of every pixel beside them:

    cdg-prep synth PHOTOS --photos --size 576x384 --shake 10-16 --region 0-2 --regions 1 --roll 0 --zoom 0 \
        --count 4 --seed 3 --out made
    python benchmarks/mask_methods.py made/train/kodim05 000001.png docs/masks.jpg
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.pages.sheet import HEAD, draw_sheet
from prep.arrays import Bytes, Codes
from prep.io import extents, frames
from prep.masks import equations
from prep.sharpness import METHODS

MU = {"paired": 0.85, "extent": 0.85}  # 6 pixels; every other method at the paper's threshold
PAPERS = 0.96
COLUMNS, WIDTH = 4, 270  # WIDTH of a panel in pixels
NAMES = ("extent", "paired", "lbp", "lbp-matting", "lbp-absolute", "hifst", "laplacian")


def panels(folder: Path, name: str) -> list[tuple[Bytes | Codes, str]]:
    """Pictures and their titles: the pair, then S and M of each method."""
    blurry, sharp = (frames.read(folder / kind / name) for kind in ("blur", "sharp"))
    lengths = folder / "extent" / name
    beside = {"": None, "sharp": sharp, "extent": extents.decode(lengths.read_bytes(), lengths)}
    found: list[tuple[Bytes | Codes, str]] = [(blurry, "blurry"), (sharp, "sharp")]
    for each in NAMES:
        method, mu = METHODS[each], MU.get(each, PAPERS)
        codes = equations.to_codes(method.compute(blurry, beside[method.beside]))
        mask = equations.mask_of_codes(codes, mu)
        found.append((codes, f"S: {each}"))
        found.append((mask * np.uint8(255), f"M: mu {mu:g}, {mask.mean():.1%}"))
    return found


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a sequence of cdg-prep synth: blur/, sharp/, extent/")
    parser.add_argument("frame", help="file name of the frame")
    parser.add_argument("figure", type=Path, help="JPEG or PNG to write")
    options = parser.parse_args()
    found = panels(options.folder, options.frame)
    rows = [found[start : start + COLUMNS] for start in range(0, len(found), COLUMNS)]
    cells = [([picture for picture, _ in row], [title for _, title in row]) for row in rows]
    Image.fromarray(draw_sheet([""] * COLUMNS, cells, WIDTH)[HEAD:]).save(options.figure, quality=88)


if __name__ == "__main__":
    main()
