"""What Heroku's files may say in another form, and is the same."""

import shutil
from pathlib import Path

import pytest

from deploy.check import check
from deploy.env import needed
from service.environment import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("Procfile", "app.json", ".python-version", "Dockerfile", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


FORMATION = """{ "web": { "quantity": 1 }, "worker": { "quantity": 1 },
    "scheduler": { "quantity": 1 } }"""


@pytest.mark.parametrize(
    ("name", "there", "instead"),
    [
        (".python-version", "3.13", "3.13.5"),
        (".python-version", "3.13", "# ours\n\n  3.13  \n"),
        ("app.json", '"quantity": 1', '"quantity": "1"'),
        ("app.json", '"worker": { "quantity": 1, "size": "basic" }', '"worker": { "quantity": 1 }'),
        ("app.json", '"web": { "quantity": 1, "size": "basic" },', ""),
        ("app.json", '"APP_ENV": { "value": "production" }', '"APP_ENV": "production"'),
        ("app.json", 'VERIFY": { "value": "false"', 'VERIFY": { "value": "0"'),
        ("app.json", '"review": {', f'"review": {{ "formation": {FORMATION},'),
        ("app.json", '"addons": ["heroku-postgresql:essential-0", "heroku-redis:mini"],', ""),
        ("app.json", '"PROXY_HOPS"', '"SENTRY_DSN": { "required": false }, "PROXY_HOPS"'),
        ("Procfile", "python -m service web", "gunicorn service.wsgi:app"),
        ("Procfile", "python -m service web", "gunicorn -c gunicorn.conf.py service.wsgi:app"),
    ],
)
def test_what_heroku_takes_too_is_clean(root: Path, name: str, there: str, instead: str) -> None:
    text = (root / name).read_text()
    assert there in text
    (root / name).write_text(text.replace(there, instead, 1))
    table = check(root, "heroku", None)
    assert {rule: each for rule, each in table.items() if each and each != "skipped"} == {}


def test_what_is_not_required_is_not_set_and_what_is_asked_for_is_set_by_hand(root: Path) -> None:
    text = (root / "app.json").read_text()
    described = '"SENTRY_DSN": { "description": "Errors", "required": false }, "PROXY_HOPS"'
    (root / "app.json").write_text(text.replace('"PROXY_HOPS"', described, 1))
    assert "SENTRY_DSN" not in needed(root, "heroku", "production")
    asked = '"SENTRY_DSN": { "description": "Errors" }, "PROXY_HOPS"'
    (root / "app.json").write_text(text.replace('"PROXY_HOPS"', asked, 1))
    assert needed(root, "heroku", "production")["SENTRY_DSN"] == "change-me"
