"""The look of all pages: what can be read in both colour schemes, and nothing beyond the edge of a chart."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from lightning_fabric import Fabric

from pipelines.pages import dot_plots, plots, templates
from pipelines.train import loop, page, runs
from pipelines.train.settings import TrainingConfig

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LOOK = Path(templates.__file__).parent / "look.css.j2"
LONG = "two-branch-concat with attention in both branches, mu 0.96"


def luminance(colour: str) -> float:
    """Of a colour as ``#rrggbb``. Source: WCAG 2.1, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "quiet", "first", "second", "third", "good", "bad", "warn-ink"])
def test_every_ink_can_be_read_on_every_ground(scheme: int, ink: str) -> None:
    block = LOOK.read_text(encoding="utf-8").split(":root {")[scheme + 1]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    grounds = ("warn-ground",) if ink == "warn-ink" else ("ground", "raised")
    assert min(contrast(colours[ink], colours[ground]) for ground in grounds) >= 4.5  # AA


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of charts with long names, long numbers and many steps."""
    curves = {LONG: [(step, 1e-4 * (1 + step % 7)) for step in range(1, 300_001, 999)], "b": [(1, 3.1415926e-5)]}
    made = [
        plots.plot("Loss", "loss", curves, is_log=True, is_smoothed=True),
        plots.plot("Rate", "rate", {"rate": [(1, 1e-4), (300_000, 1e-4)]}, is_log=True),
        plots.plot("PSNR", "dB", {"a": [(5, 20.034), (6, 20.038)]}),
        plots.plot("Speed", "images/s", {"a": [(5, 12345.0), (300_000, 98765.0)]}),
    ]
    dots = [dot_plots.dot_plot("PSNR", "dB", {LONG: [23.71, 23.735], "b": [23.7]})]
    environment = templates.templates()
    source = """{% extends "base.html.j2" %}{% import "plot.html.j2" as plots %}{% import "dot_plot.html.j2" as dots %}
    {% block style %}{{ plots.style() }}{{ dots.style() }}{% endblock %}
    {% block main %}<div class="charts">{% for each in made %}{{ plots.chart(each, loop.index) }}{% endfor %}
    {% for each in points %}{{ dots.chart(each, "d") }}{% endfor %}</div>{% endblock %}"""
    path = tmp_path_factory.mktemp("charts") / "charts.html"
    path.write_text(environment.from_string(source).render(made=made, points=dots), encoding="utf-8")
    return path


OUTSIDE = """() => [...document.querySelectorAll(".curve > svg text, .dot-plot > svg text")].filter(text => {
  const box = text.getBBox(), {width, height} = text.ownerSVGElement.viewBox.baseVal;
  return box.x < 0 || box.y < 0 || box.x + box.width > width || box.y + box.height > height;
}).map(text => text.textContent)"""
OVERLAPS = """() => [...document.querySelectorAll(".curve > svg, .dot-plot > svg")].flatMap(svg => {
  const boxes = [...svg.querySelectorAll("text")].map(text => ({text: text.textContent, box: text.getBBox()}));
  return boxes.flatMap((one, place) => boxes.slice(place + 1).filter(other =>
    one.box.x < other.box.x + other.box.width && other.box.x < one.box.x + one.box.width
    && one.box.y < other.box.y + other.box.height && other.box.y < one.box.y + one.box.height
  ).map(other => `${one.text} | ${other.text}`));
})"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium")
@pytest.mark.parametrize("width", [390, 1400])
def test_no_label_of_a_chart_is_cut_off_or_lies_on_another(charts: Path, browser: Any, width: int) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.goto(charts.as_uri())
    assert tab.evaluate(OUTSIDE) == []
    assert tab.evaluate(OVERLAPS) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.close()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium")
def test_the_page_of_a_run_fits_a_narrow_window(train_pack: Path, browser: Any, tmp_path: Path) -> None:
    config = TrainingConfig(preset="tiny", steps=2, batch=2, crop=32, workers=0, log_every=1, val=("GOPR0002",))
    run = runs.prepare(config, [train_pack], tmp_path / "run")
    list(loop.train(run, Fabric(accelerator="cpu", devices=1)))
    tab = browser.new_page(viewport={"width": 390, "height": 844})
    tab.goto(page.write(tmp_path / "run").as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.evaluate(OUTSIDE) == []
    tab.close()
