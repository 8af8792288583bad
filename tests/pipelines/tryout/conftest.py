"""A browser that looks at the page for trying a network, and may find nothing wrong with it."""

from collections.abc import Iterator
from typing import Any

import pytest
from tryout_page import make_restorer, serving, working

from pipelines.tryout.queue import Queue


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Queue, str]]:
    """A queue that is worked off, and the address of its page."""
    with working(tmp_path_factory.mktemp("work") / "kept", make_restorer()) as queue, serving(queue) as port:
        yield queue, f"http://127.0.0.1:{port}/"


@pytest.fixture
def queue(desk: tuple[Queue, str]) -> Queue:
    """The queue, empty."""
    for facts in desk[0].facts():
        desk[0].remove(facts["number"])
    return desk[0]


@pytest.fixture
def page(browser: Any, queue: Queue, desk: tuple[Queue, str]) -> Iterator[Any]:
    """The page, on which nothing may go wrong."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, accept_downloads=True)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if is_wrong(message) else None)
    page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
    page.goto(desk[1])
    yield page
    context.close()
    assert wrong == []


def is_wrong(message: Any) -> bool:
    """A server that a test takes away is expected to be missed."""
    return bool(message.type == "error" and "ERR_CONNECTION" not in message.text and "404" not in message.text)
