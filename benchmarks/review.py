"""Speed of the page of ``cdg-prep view`` with many frames: time to first paint, and frame times while scrolling.

Usage: ``python benchmarks/review.py [--save]``; needs Chromium. The page shows synthetic frames of 640 x 360 pixels and
is served as plain files, so that only the browser is measured. The time to write the page and its thumbnails is
reported separately.
"""

import argparse
import functools
import http.server
import json
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import sync_playwright
from surroundings import add_save, save, surroundings

from pipelines.review import site
from prep.datasets import tree_pairs
from prep.io import frames
from prep.masks import making
from prep.masks.folder import MaskRecord, MasksFolder

SCROLL = """async speed => {
  const grid = document.querySelector("#grid");
  const times = [];
  let before = await new Promise(requestAnimationFrame);
  for (let step = 1; step <= 240; step += 1) {
    grid.scrollTop += speed;
    const now = await new Promise(requestAnimationFrame);
    times.push(now - before);
    before = now;
  }
  return times;
}"""
SPEEDS = (30, 120, 325)  # pixels per animation frame: reading, searching, skimming
PAINTED = "performance.getEntriesByType('paint').find(one => one.name === 'first-contentful-paint')?.startTime"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000, help="frames on the page [%(default)s]")
    parser.add_argument("--loads", type=int, default=3, help="times to load and scroll the page [%(default)s]")
    add_save(parser)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        review = make(folder, asked.frames)
        began = time.perf_counter()
        for _ in site.write_folder(review, folder / "view", jobs=2):
            pass
        results = {"frames": asked.frames, "seconds_to_write": round(time.perf_counter() - began, 2)}
        results |= measure(folder / "view", asked.loads)
    print(json.dumps(results, indent=2))
    if asked.save:
        save(asked.save, "review", surroundings(), results)


def make(folder: Path, count: int) -> site.Review:
    """Make a data set of ``count`` links to one picture, and its masks folder."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(360, 640, 3)).astype(np.float32)
    photo = np.clip(128 + 2000 * cv2.GaussianBlur(noise, (0, 0), 12), 0, 255).astype(np.uint8)
    codes = (cv2.GaussianBlur(rng.random((360, 640)).astype(np.float32), (0, 0), 20) * 65535).astype(np.uint16)
    first: dict[Path, Path] = {}
    for number in range(count):
        key = f"clip{number // 100:03}/{number % 100:06}"
        for kind, picture in (("blurry", photo), ("sharp", photo), ("masks", codes)):
            suffix = ".sharpness.png" if kind == "masks" else ".png"
            path = folder / kind / f"{key}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            source = first.setdefault(folder / kind, path)
            if source is path:
                frames.write(path, picture)
            else:
                path.hardlink_to(source)
    dataset = tree_pairs.find_pairs(folder / "blurry", folder / "sharp")
    plan = making.plan(dataset.pairs[:1], MasksFolder(folder / "one"), making.recipe_of(dataset, "laplacian"), 0.5)
    (row,) = making.make(plan, 1)
    assert isinstance(row, MaskRecord)
    maps = site.SharpnessMaps(
        folder=MasksFolder(folder / "masks"), method="laplacian", mu=0.5, rows={pair.key: row for pair in dataset.pairs}
    )
    return site.Review(
        name="many", pairs=dataset.pairs, maps=[maps], verdicts=folder / "verdicts.json", is_served=False
    )


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def measure(folder: Path, loads: int) -> dict[str, Any]:
    """Load and scroll the page ``loads`` times; return medians and worst cases."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    paints, cells = [], []
    times: dict[int, list[float]] = {speed: [] for speed in SPEEDS}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(loads):
            page = browser.new_page(viewport={"width": 1500, "height": 950})
            began = time.perf_counter()
            page.goto(f"http://127.0.0.1:{server.server_port}/", wait_until="commit")
            page.wait_for_selector(".cell")
            cells.append(time.perf_counter() - began)
            page.wait_for_timeout(1500)
            paints.append(page.evaluate(PAINTED) / 1000)
            for speed in SPEEDS:
                page.evaluate("document.querySelector('#grid').scrollTop = 0")
                page.wait_for_timeout(500)
                times[speed] += page.evaluate(SCROLL, speed)
                page.wait_for_timeout(500)
            page.close()
        version = browser.version
        browser.close()
    server.shutdown()
    return {
        "browser": f"Chromium {version}, headless, no GPU",
        "first_paint_s": round(statistics.median(paints), 3),
        "first_cells_s": round(statistics.median(cells), 3),
        **{f"scroll_{speed}_pixels_a_frame": spread(steps) for speed, steps in times.items()},
    }


def spread(steps: list[float]) -> dict[str, float]:
    """Summarise the milliseconds per animation frame while scrolling."""
    ordered = sorted(steps)
    return {
        "frames": len(ordered),
        "median_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[int(0.99 * len(ordered))], 1),
        "worst_ms": round(ordered[-1], 1),
    }


if __name__ == "__main__":
    main()
