"""The page and its pictures, made of kept figures."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import page, svg
from bench.peers import PEERS  # sample
from bench.report import Row
from bench.results import Results
from bench.svg import Bar, Line
from bench.variants import VARIANTS  # sample

SVG = "{http://www.w3.org/2000/svg}"
MACHINE = {
    "measured": "2026-11-27",
    "cpu": "2 × Some CPU",
    "memory": "8 GiB",
    "system": "Linux 6.1",
    "python": "3.13.0",
    "postgresql": "18.1",
    "extent": "40 rounds of 150 requests",
}


def row(cell: str, variant: str, value: float, ratio: float, at: float | None = None) -> Row:
    label = {"read": "read by key", "posts": "read by key, posts"}.get(cell, cell)
    label = label if at is None else f"{label}, n"
    return Row(cell, label, variant, value, "µs", ratio, None, None, at)


FIGURES = [
    row("read", "B", 800, 1.0),
    row("read", "ours", 600, 0.75),
    row("read", "Flask + extensions", 2700, 3.38),
    row("p99-60%", "B", 10, 1.0),
    row("p99-60%", "Flask + extensions", 4000, 400.0),
    row("growth-clients", "ours, 1", 600, 1.0, 1),
    row("growth-clients", "ours, 200", 650, 1.08, 200),
    row("uptime", "ours, 0", 600, 1.0, 0),
    row("uptime", "ours, 20,000", 610, 1.02, 20_000),
    Row("jobs", "no-op job", "dramatiq", 2000, "µs", 1.0, None, None),
    Row("jobs", "no-op job", "ours", 1000, "µs", 0.5, None, None),
]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "performance.md"
    path.write_text(f"# Mine\n\n{page.BEGIN}\nold\n{page.END}\n\n## Mine too\n")
    (tmp_path / "performance").mkdir()
    (tmp_path / "performance" / "gone.svg").write_text("<svg/>")
    page.write(Results(MACHINE, FIGURES), path)
    return path


def test_only_the_made_part_is_made_anew(written: Path) -> None:
    once = written.read_text()
    assert once.startswith("# Mine\n\n<!--")
    assert once.endswith("-->\n\n## Mine too\n")
    assert "old" not in once.split(page.END)[0].split("### All figures")[0]
    page.write(Results(MACHINE, FIGURES), written)
    assert written.read_text() == once


def test_it_names_the_machine_and_says_in_words_what_ours_costs(written: Path) -> None:
    text = written.read_text()
    assert "2 × Some CPU, 8 GiB of memory, Linux 6.1, Python 3.13.0, PostgreSQL 18.1" in text
    assert "costs of B's CPU: read by key 0.75." in text
    assert "which do the same, cost 3.38." in text


def test_its_pictures_are_there_and_no_others(written: Path) -> None:
    named = set(re.findall(r"\]\(performance/(\w[\w-]*\.svg)\)", written.read_text()))
    there = {path.name for path in (written.parent / "performance").iterdir()}
    assert named == there
    assert {"cpu.svg", "latency.svg", "growth-clients.svg", "uptime.svg", "jobs.svg"} == there


def test_a_picture_says_its_figures(written: Path) -> None:
    text = (written.parent / "performance" / "cpu.svg").read_text()
    for said in ("B: bare Flask", "600 µs · 0.75 × B", "2,700 µs · 3.38 × B", "read by key"):
        assert said in text
    jobs = (written.parent / "performance" / "jobs.svg").read_text()
    assert "1,000 jobs/s" in jobs
    assert "500 jobs/s" in jobs


def test_a_page_without_a_place_for_it_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text("# Mine\n")
    with pytest.raises(ValueError, match="lacks"):
        page.write(Results(MACHINE, FIGURES), path)
    assert path.read_text() == "# Mine\n"


def lengths(picture: str) -> list[float]:
    found = ET.fromstring(picture).iter(f"{SVG}rect")
    return [float(each.attrib["width"]) for each in found if "b " in each.attrib["class"]]


def test_bars_are_as_long_as_their_values() -> None:
    group = [Bar("a & b", 100, "100 µs", 0), Bar("c", 50, "50 µs", 1)]
    whole, half = lengths(svg.bars("<Title>", [("one", group), ("two", group)]))[:2]
    assert half == pytest.approx(whole / 2)


def test_a_bar_that_is_too_long_is_cut_and_looks_so() -> None:
    group = [Bar("a", 10, "10 ms", 0), Bar("b", 4000, "4,000 ms", 1)]
    picture = svg.bars("t", [("one", group)], cap=5)
    short, long = lengths(picture)
    assert long == pytest.approx(5 * short)
    assert picture.count("<path") == 1
    assert svg.bars("t", [("one", group)]).count("<path") == 0


def test_a_line_rises_where_its_values_do_and_its_axis_is_logarithmic() -> None:
    picture = svg.lines("t", "rows", "µs", [Line("ours", [(10, 1), (100, 2), (1000, 4)], 0)])
    (line,) = ET.fromstring(picture).iter(f"{SVG}polyline")
    (x0, y0), (x1, y1), (x2, y2) = (
        map(float, dot.split(",")) for dot in line.attrib["points"].split()
    )
    assert x1 - x0 == pytest.approx(x2 - x1, abs=1)
    assert y2 - y1 == pytest.approx(2 * (y1 - y0), abs=2)
    assert y2 < y1 < y0


@pytest.mark.parametrize(("value", "step"), [(0, 1), (1, 1), (231, 250), (0.3, 0.5), (1001, 2000)])
def test_an_axis_has_round_figures(value: float, step: float) -> None:
    assert svg.round_up(value) == pytest.approx(step)


# sample
def test_each_server_has_a_line_of_its_own_colour() -> None:
    names = [each.name for each in (*VARIANTS, *PEERS) if not each.brief]
    lines = page.curves([row("growth-processes", f"{name}, 1", 600, 1.0, 1) for name in names])
    assert len({line.kind for line in lines}) == len(names)


# end of sample
