"""The page for checking masks, written and served, and a browser that looks at it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from review_page import HOSTILE, review_of

from pipelines.review import site
from prep.datasets import tree_pairs
from prep.io import frames
from prep.masks import making
from prep.masks.folder import MasksFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``blurry``, ``sharp`` and ``masks`` by two methods, of frames one of which has a hostile name."""
    folder = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(3)
    for name in ("clip/000001", "clip/000002", f"other/{HOSTILE}"):
        sharp = rng.integers(0, 256, (72, 96, 3), np.uint8)
        blurry = sharp.copy()
        blurry[:, :50] = np.asarray(Image.fromarray(sharp).resize((12, 9)).resize((96, 72)))[:, :50]
        frames.write(folder / "sharp" / f"{name}.png", sharp)
        frames.write(folder / "blurry" / f"{name}.png", blurry)
    dataset = tree_pairs.find_pairs(folder / "blurry", folder / "sharp")
    for method in ("lbp-absolute", "laplacian"):
        plan = making.plan(dataset.pairs, MasksFolder(folder / method), making.recipe_of(dataset, method), 0.5)
        list(making.make(plan, jobs=1))
    return folder


@pytest.fixture(scope="module")
def written(folder: Path) -> str:
    """The page's address, opened from the disk."""
    list(site.write_folder(review_of(folder), folder / "view", jobs=1))
    return (folder / "view" / "index.html").as_uri()


@pytest.fixture
def served(folder: Path) -> Iterator[str]:
    """The page's address, served by the command."""
    (folder / "lbp-absolute" / "verdicts.json").unlink(missing_ok=True)
    words = ["view", "--blurry", "blurry", "--sharp", "sharp", "--masks", "lbp-absolute", "--serve", "--port", "0"]
    command = [str(Path(sys.executable).with_name("cdg-prep")), *words]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        line = next(line for line in process.stdout if "http://" in line)
        yield line.split()[-1]
        process.terminate()  # a shell that starts things behind itself lets them ignore SIGINT


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page on which nothing may go wrong."""
    context = browser.new_context(viewport={"width": 1300, "height": 850})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if is_wrong(message) else None)
    page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
    yield page
    context.close()
    assert wrong == []


def is_wrong(message: Any) -> bool:
    """A server that a test takes away is expected to be missed."""
    return bool(message.type == "error" and not any(status in message.text for status in ("503", "404")))
