"""What is made of the measurements: rows, limits, curves."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import results
from bench.growth import LIMIT, Curve
from bench.measure import Samples
from bench.packages import INSTALL, missing
from bench.report import Row, rows, table
from bench.results import Results
from bench.variants import BASELINE, OURS
from service.environment import ROOT


def samples(*values: float) -> list[Samples]:
    base = Samples("read", "read by key", BASELINE, "µs", values=[100.0] * len(values))
    return [base, Samples("read", "read by key", OURS, "µs", values=list(values))]


def test_a_ratio_is_that_of_the_rounds_and_not_of_the_medians() -> None:
    measured = samples(50, 60, 70)
    measured[0].values = [100, 50, 200]
    _, ours = rows(measured)
    assert (ours.value, ours.ratio) == (60, 0.5)
    assert ours.interval == (0.35, 1.2)


def test_two_rounds_say_nothing_about_the_next() -> None:
    assert [each.interval for each in rows(samples(50, 60))] == [None, None]


@pytest.mark.parametrize(("value", "over"), [(80.0, False), (81.0, True)])
def test_ours_is_held_to_its_limit(value: float, over: bool) -> None:
    base, ours = rows(samples(value, value, value))
    assert (base.over, ours.over) == (False, over)
    assert Results({}, [base, ours]).over is over
    assert ("OVER" in table([base, ours])) is over


@pytest.mark.parametrize(("last", "over"), [(1.19, False), (1.21, True)])
def test_what_grows_is_held_to_its_first_point(last: float, over: bool) -> None:
    curve = Curve("growth-clients", "read by key, clients", OURS, "µs", held=True)
    for at, value in ((1, 100.0), (10, 110.0), (200, 100 * last)):
        for _ in range(3):
            curve.add(at, value)
    first, second, third = curve.rows()
    assert [each.at for each in (first, second, third)] == [1, 10, 200]
    assert [each.limit for each in (first, second, third)] == [None, LIMIT, LIMIT]
    assert (second.over, third.over) == (False, over)
    other = replace(curve, variant=BASELINE, held=False)
    assert not any(each.over for each in other.rows())


def test_what_is_kept_is_what_was_measured(tmp_path: Path) -> None:
    figures = [*rows(samples(50, 60, 70)), Row("a", "b", "c, 7", 1.0, "µs", 1.0, None, 1.2, 7)]
    measured = Results({"cpu": "2 × some"}, figures)
    measured.keep(path := tmp_path / "kept" / "results.json")
    assert results.load(path) == measured


def test_what_is_not_installed_is_named() -> None:
    python = Path(sys.executable)
    assert missing(["json", "no_such_package_is_here"], python) == ["no_such_package_is_here"]
    assert missing(["json"], absent := python / "absent") == [str(absent)]
    assert f"\n{INSTALL.removeprefix('make ')}:" in (ROOT / "Makefile").read_text()


def test_a_page_is_of_a_whole_run() -> None:
    command = [sys.executable, "-m", "bench", "--page", "--only", "start"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert "--page is of a whole run" in ended.stderr
