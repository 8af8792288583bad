"""What the README and the pages of docs/ show works: commands parse, links lead somewhere."""

from pathlib import Path

import click
import pytest
from documents import (
    MODULES,
    PAGES,
    ROOT,
    anchors,
    blocks,
    links,
    option_values,
    parse,
    spans,
    unknown_options,
    value_names,
)

ALL = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def in_order(page: Path) -> list[tuple[str, list[str]]]:
    """Where each command of ours stands, and its words."""
    found = [(f"{page.name}, the block of line {block.line}", block.commands) for block in blocks(page)]
    return [(place, words) for place, lines in found for words in lines if words[0] in MODULES]


@ALL
def test_every_command_of_a_page_has_only_options_and_values_that_exist(page: Path) -> None:
    wrong = []
    for place, words in in_order(page):
        try:
            parse(words)
        except click.ClickException as error:
            wrong.append(f"{place}: {' '.join(words)}: {error.format_message()}")

    assert not wrong, "\n".join(wrong)


@ALL
def test_every_option_in_a_pages_prose_is_one_of_its_command(page: Path) -> None:
    assert {span: unknown for span in spans(page) if (unknown := unknown_options(span))} == {}


@ALL
def test_a_value_has_the_same_name_in_a_page_as_in_the_help(page: Path) -> None:
    wrong = [f"{option} {name}" for option, name in option_values(page) if name not in value_names(option)]

    assert wrong == []


@ALL
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    assert [str(file) for file, _ in links(page) if not file.exists()] == []


@ALL
def test_every_link_of_a_page_to_a_heading_leads_to_one(page: Path) -> None:
    wrong = [f"{file.name}#{anchor}" for file, anchor in links(page) if anchor and anchor not in anchors(file)]
    assert wrong == []


def test_the_pages_are_those_of_the_sites_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")

    assert [page.name for page in PAGES[1:] if f": {page.name}\n" not in navigation] == []
