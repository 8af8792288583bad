"""Draw docs/before-after.jpg: parts of photographs that the weights never saw, blurred, and restored.

python docs/before_after.py PHOTOGRAPHS    # a folder with kodim08.png, kodim15.png and kodim23.png
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from cdgnet import load_weights, restore

SIDE, SHOWN = 160, 300  # of a part in its frame, and in the picture, in pixels
PARTS = (  # of three frames: photograph, frame, left and upper edge
    ("kodim15", "000001", 392, 70),
    ("kodim23", "000001", 380, 90),
    ("kodim08", "000001", 500, 180),
    ("kodim15", "000001", 160, 240),
)
MOTION = ("--camera", "phone", "--shake", "5-14", "--regions", "0", "--roll", "3", "--zoom", "2")


def draw(photographs: Path, path: Path) -> None:
    """Blur the photographs as a phone would, restore them with the weights that come with cdgnet, and draw both."""
    network = load_weights()
    picture = Image.new("RGB", (len(PARTS) * SHOWN, 2 * SHOWN))
    with tempfile.TemporaryDirectory() as folder:
        inputs = [photographs / f"{name}.png" for name in sorted({part[0] for part in PARTS})]
        synth = [sys.executable, "-c", "from pipelines.cli.prep import main; main()", "synth", *inputs]
        size = ("--photos", "--count", "5", "--size", "768x512")
        subprocess.run([*synth, *size, *MOTION, "--out", Path(folder, "made")], check=True)
        for column, (photograph, frame, left, top) in enumerate(PARTS):
            blurry = Image.open(Path(folder, "made", "train", photograph, "blur", f"{frame}.png")).convert("RGB")
            for row, image in enumerate((blurry, restore(blurry, network))):
                part = image.crop((left, top, left + SIDE, top + SIDE)).resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)
                picture.paste(part, (column * SHOWN, row * SHOWN))
    for row, label in enumerate(("blurry", "restored")):
        _label(picture, label, row * SHOWN)
    picture.save(path, quality=88)


def _label(picture: Image.Image, text: str, top: int) -> None:
    canvas, font = ImageDraw.Draw(picture), ImageFont.load_default(22)
    right, bottom = canvas.textbbox((0, 0), text, font)[2:]
    canvas.rectangle((0, top, right + 20, top + bottom + 12), fill="black")
    canvas.text((10, top + 5), text, "white", font)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).with_name("before-after.jpg"))
