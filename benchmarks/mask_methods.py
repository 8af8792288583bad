"""What each method of ``cdg-prep masks`` makes of frames whose blur is known, and the figure of docs/masks.md.

A photograph is blurred as ``cdg-prep synth`` does: the camera moves, one piece of the photograph does not. Overlap is
the intersection of M = 1 with that of the true blur length over their union; pixels of unknown blur do not count. The
table has means over the seeds.

Run ``python benchmarks/mask_methods.py --data DIR``: DIR holds photographs. ``--figure docs/masks.jpg`` draws S and M;
with ``--save`` the table goes to benchmarks/results/mask_methods-DATE.json.
"""

import argparse
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image
from surroundings import add_save, save, surroundings

from pipelines.pages.sheet import HEAD, draw_sheet
from prep.arrays import Bytes, Codes
from prep.io import extents, frames
from prep.masks import equations
from prep.sharpness import METHODS
from prep.synthesis import from_photos
from prep.synthesis.outlines import Segments
from prep.synthesis.recipes import PhotoRecipe
from prep.synthesis.trajectories import Stroke

SIZE = (360, 560)
HAND = Stroke(shortest=10, longest=16)  # pixels of blur
PIECE = Stroke(shortest=0, longest=2)
BLUR_LENGTHS, PAPERS = 0.85, 0.96  # mu for maps of blur lengths (6 pixels), and the paper's for all others
NAMES = ("extent", "paired", "lbp", "lbp-matting", "lbp-absolute", "hifst", "laplacian")
COLUMNS, WIDTH, QUALITY = 4, 270, 88  # of the figure: panels per row, panel width in pixels, JPEG quality


@dataclass(frozen=True, kw_only=True)
class Line:
    """One method on one frame."""

    method: str
    mu: float
    share: float  # share of pixels with M = 1
    overlap: float


def measure(pair: from_photos.ShakenPair, names: list[str]) -> tuple[list[Line], list[tuple[Bytes | Codes, str]]]:
    """Return the table's lines, and the figure's panels with their titles."""
    codes = extents.to_codes(pair.extent)
    beside = {"": None, "sharp": pair.sharp, "extent": codes}
    known = codes != extents.UNKNOWN
    truth = equations.sharpness_mask(METHODS["extent"].compute(pair.blurry, codes), BLUR_LENGTHS)
    lines: list[Line] = []
    panels: list[tuple[Bytes | Codes, str]] = [(pair.blurry, "blurry"), (pair.sharp, "sharp")]
    for name in names:
        method = METHODS[name]
        mu = BLUR_LENGTHS if method.beside else PAPERS
        sharpness = equations.to_codes(method.compute(pair.blurry, beside[method.beside]))
        mask = equations.mask_of_codes(sharpness, mu)
        share, both = float(mask.mean()), int((mask & truth)[known].sum())
        lines.append(Line(method=name, mu=mu, share=share, overlap=both / max(1, int((mask | truth)[known].sum()))))
        panels += [(sharpness, f"S: {name}"), (mask * np.uint8(255), f"M: mu {mu:g}, {share:.1%}")]
    return lines, panels


def mean(lines: list[Line]) -> Line:
    """Return the mean of one method over several frames."""
    share, overlap = (fmean(getattr(line, name) for line in lines) for name in ("share", "overlap"))
    return replace(lines[0], share=share, overlap=overlap)


def draw(panels: list[tuple[Bytes | Codes, str]], path: Path) -> None:
    """Write the figure as JPEG."""
    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    cells = [([picture for picture, _ in row], [title for _, title in row]) for row in rows]
    Image.fromarray(draw_sheet([""] * COLUMNS, cells, WIDTH)[HEAD:]).save(path, quality=QUALITY)


def main() -> None:
    """Print the table; draw and save on request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="holds photographs")
    parser.add_argument("--photo", default="kodim05.png", help="which photograph [kodim05.png]")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[2, 0, 1, 3, 4, 5],
        help="of the motion; the first is drawn [2 0 1 3 4 5]",
    )
    parser.add_argument("--methods", nargs="+", default=list(NAMES), choices=NAMES, metavar="NAME", help="[all]")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw S and M as a JPEG")
    add_save(parser)
    options = parser.parse_args()
    photo = frames.read(options.data / "photographs" / options.photo)
    segments = Segments(photo)
    recipe = PhotoRecipe(count=1, size=SIZE, hand=HAND, thing=PIECE, things=(1, 1))
    lines: list[Line] = []
    for seed in options.seeds:
        found, panels = measure(from_photos.shake(photo, segments, recipe, [seed]), options.methods)
        lines += found
        if options.figure and seed == options.seeds[0]:
            draw(panels, options.figure)
    print(f"{'method':14}    mu  share of M = 1  overlap")
    means = [mean([line for line in lines if line.method == name]) for name in options.methods]
    for line in means:
        print(f"{line.method:14}  {line.mu:.2f}  {line.share:14.1%}  {line.overlap:7.0%}")
    if options.save:
        content = {"photograph": options.photo, "seeds": options.seeds, "lines": [asdict(line) for line in means]}
        save(options.save, "mask_methods", surroundings(), content)


if __name__ == "__main__":
    main()
