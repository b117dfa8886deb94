"""What a fly.toml may say in another form, and is the same."""

import shutil
from pathlib import Path

import pytest

from deploy.check import check
from service.environment import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("fly.toml", "deploy/fly/fly.staging.toml", "Dockerfile"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ("kill_timeout = 60", 'kill_timeout = "60"'),
        ("kill_timeout = 60", 'kill_timeout = "60s"'),
        ("kill_timeout = 60", 'kill_timeout = "1m0.5s"'),
        ("running = 2", 'running = "2"'),
        ('machines = "off"', "machines = false"),
        ('"bluegreen"', '"rolling"'),
        ('"bluegreen"', '"rolling"\nmax_unavailable = 1'),
        ('"bluegreen"', '"canary"\nmax_unavailable = 0.5'),
        ("[[vm]]", '[checks.other]\ntype = "http"\nport = 8000\npath = "/health/ready"\n\n[[vm]]'),
        ("[[vm]]", '[checks.other]\ntype = "tcp"\nport = 8000\n\n[[vm]]'),
    ],
)
def test_what_fly_takes_too_is_clean(root: Path, there: str, instead: str) -> None:
    text = (root / "fly.toml").read_text()
    assert there in text
    (root / "fly.toml").write_text(text.replace(there, instead, 1))
    table = check(root, "fly", None)
    assert {rule: each for rule, each in table.items() if each and each != "skipped"} == {}
    assert {rule for rule, each in table.items() if each == "skipped"} == {
        "python",
        "deprecated",
        "schema",
    }
