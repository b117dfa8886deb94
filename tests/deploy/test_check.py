"""A manifest that is broken in any way is found, and those that lie here are clean."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from deploy import rules
from deploy.__main__ import main
from deploy.check import check, look, read, run, schemas_folder
from deploy.manifest import KINDS, Finding
from deploy.rules import commands, releases, written
from deploy.shell import Failed
from deploy.targets import TARGETS
from service.environment import ROOT, environment
from service.settings import Settings
from tests.deploy.broken import Broken

FOLDERS = ("deploy", ".do", ".railway")
FILES = (
    "Procfile",
    "app.json",
    ".python-version",
    "render.yaml",
    "fly.toml",
    "Dockerfile",
    "requirements.txt",
)
ANY = next(iter(TARGETS), "")  # empty where all platforms were removed
WITH_ONE = pytest.mark.skipif(not ANY, reason="no platform is here")
SCHEMAS = schemas_folder(None)


def of(target: str) -> ModuleType:
    return import_module(f"tests.deploy.broken.{target}")


def copied(folder: Path, ignored: str = "*.py*") -> Path:
    """A copy of all manifests that there are."""
    for name in FOLDERS:
        if (ROOT / name).exists():
            ignore = shutil.ignore_patterns(ignored if name == "deploy" else "__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copied(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all that put back what they have changed."""
    return copied(tmp_path_factory.mktemp("manifests"))


def found(root: Path, target: str, rule: str) -> list[Finding]:
    column = check(root, target, SCHEMAS)[rule]
    return [] if isinstance(column, str) else column


@pytest.mark.parametrize("target", TARGETS)
def test_a_manifest_as_it_lies_here_is_clean(target: str) -> None:
    table = check(ROOT, target, SCHEMAS)
    assert {rule: each for rule, each in table.items() if each and each != "skipped"} == {}


BROKEN = [
    pytest.param(target, each, id=f"{target}-{each.rule}-{number}")
    for target in TARGETS
    for number, each in enumerate(of(target).BROKEN)
]


@pytest.mark.parametrize(("target", "broken"), BROKEN)
def test_what_is_broken_is_found_with_its_file_and_line(
    shared: Path, target: str, broken: Broken
) -> None:
    if broken.rule == "schema" and SCHEMAS is None:
        pytest.skip("SLIPWAY_SCHEMAS names no folder of schemas")
    with broken_at(shared / broken.file, broken):
        try:
            findings = look(read(shared, target), target, broken.rule, SCHEMAS)
        except Failed:  # said in the first column, of all others that they were skipped
            findings = check(shared, target, SCHEMAS)["variables"]
            assert broken.rule == "variables"
        assert isinstance(findings, list)
        assert findings, check(shared, target, SCHEMAS)
        assert all(each.warns == broken.warns for each in findings)
        for each in findings:
            path = shared / each.place.file
            lines = path.read_text().splitlines() if path.is_file() else [""]
            assert 1 <= each.place.line <= len(lines)
            assert each.todo


@contextmanager
def broken_at(path: Path, broken: Broken) -> Iterator[None]:
    """The file, while the `with` lasts."""
    before = path.read_bytes() if path.is_file() else None
    break_it(path, broken)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)


def break_it(path: Path, broken: Broken) -> None:
    if not broken.there and not broken.instead:
        path.unlink()
    elif not broken.there:
        path.parent.mkdir(exist_ok=True)
        path.write_text(broken.instead)
    else:
        before = path.read_text()
        assert broken.there in before
        path.write_text(before.replace(broken.there, broken.instead, 1))


# target: render
SECRET = "{ key: JWT_SECRET, generateValue: true }"


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ('{ key: SECRETS_FROM, value: "vault://kv/slipway" }', ""),
        ('{ key: SECRETS_FROM, value: "vault://kv" }', "must name a mount and a path"),
        ('{ key: VAULT_ROLE, value: "slipway" }', "JWT_SECRET, which is required, is not given"),
        (SECRET + "\n      - { key: FLAG_NEW_EXPORT, value: 25% }", ""),
        (SECRET + "\n      - { key: FLAG_NEW_EXPORT, value: often }", "must be on, off or a share"),
    ],
)
def test_a_secret_may_come_from_a_store_and_a_flag_be_set(
    root: Path, instead: str, said: str
) -> None:
    path = root / "render.yaml"
    path.write_text(path.read_text().replace(SECRET, instead, 1))
    findings = [each.what for each in found(root, "render", "variables")]
    assert bool(findings) == bool(said), findings
    assert all(said in what for what in findings)


# end of target: render
@pytest.mark.parametrize("target", TARGETS)
def test_each_rule_was_seen_to_find_something(target: str) -> None:
    broken = {each.rule for each in of(target).BROKEN}
    silent = TARGETS[target](ROOT).platform.silent
    assert broken.isdisjoint(silent)
    assert {*rules.RULES, "collisions", "schema"} == broken | silent.keys()


@pytest.mark.parametrize(
    ("target", "name", "text", "said"),
    [
        # target: heroku
        ("heroku", "Procfile", "", "Procfile:1: is empty"),
        ("heroku", "Procfile", "web python", "Procfile:1: is no `process: command`"),
        ("heroku", "Procfile", "web: a\nweb: b", "Procfile:2: web is there twice"),
        ("heroku", "app.json", '{"env": {},\n "env": {}}', "app.json:2: env is there twice"),
        ("heroku", "app.json", "{\n", "app.json:2: does not parse"),
        ("heroku", "app.json", '{"name": "a",}', "app.json:1: does not parse: "),
        # end of target: heroku
        # target: render
        ("render", "render.yaml", "projects:\n  - [", "render.yaml:2: does not parse"),
        ("render", "render.yaml", "just text", "render.yaml:1: does not hold a mapping"),
        # end of target: render
        # target: fly
        ("fly", "fly.toml", "app = 1\nx =\n", "fly.toml:2: does not parse"),
        ("fly", "fly.toml", None, "fly.toml is not there"),
        # end of target: fly
        # target: railway
        ("railway", ".railway/railway.py", "main = (\n", ".railway/railway.py:1: does not parse"),
        # end of target: railway
    ],
)
def test_what_cannot_be_read_is_one_clear_finding(
    root: Path, target: str, name: str, text: str | None, said: str
) -> None:
    (root / name).unlink()
    if text is not None:
        (root / name).write_text(text)
    table = check(root, target, SCHEMAS)
    (finding,) = (each for column in table.values() if isinstance(column, list) for each in column)
    assert said in finding.what
    assert {each for each in table.values() if isinstance(each, str)} == {"skipped"}


@WITH_ONE
def test_without_schemas_the_table_says_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ROOT, [ANY], None, as_json=False) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == "skipped"


# target: fly
# target: heroku
def test_a_schema_that_the_folder_does_not_have_is_skipped_and_the_rest_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fly.schema.json").write_text("{}")
    assert run(ROOT, ["heroku", "fly"], tmp_path, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[1:3]] == ["skipped", "ok"]


# end of target: heroku
@pytest.mark.parametrize("text", [b"{", b"\xff", b"[]", b"7"])
def test_a_schema_that_is_none_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes
) -> None:
    path = tmp_path / "fly.schema.json"
    path.write_bytes(text)
    assert main(["check", "fly", "--schemas", str(tmp_path)]) == 1
    assert f"failed: {path} is no " in capsys.readouterr().err


# end of target: fly
# target: elasticbeanstalk
def test_a_list_of_options_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "aws-elastic-beanstalk-options.json"
    path.write_text("{}")
    with pytest.raises(Failed, match=f"{path} is not of the form that is read"):
        check(ROOT, "elasticbeanstalk", tmp_path)


# end of target: elasticbeanstalk
@pytest.mark.parametrize(
    ("words", "module", "function"),
    [
        (["check"], "check", "run"),
        pytest.param(["env", ANY], "env", "run", marks=WITH_ONE),
        (["bundle"], "elasticbeanstalk.bundle", "make"),  # target: elasticbeanstalk
        (["smoke", "https://example.com"], "smoke", "main"),
    ],
)
def test_who_is_stopped_says_nothing_of_what_serves(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    module: str,
    function: str,
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module(f"deploy.{module}"), function, stopped)
    assert main(words) == 130
    assert capsys.readouterr().err == ""


# target: heroku
@pytest.mark.parametrize(("today", "code"), [("2027-04-29", 0), ("2027-04-30", 1)])
def test_a_form_is_a_warning_until_it_is_read_no_more(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    today: str,
    code: int,
) -> None:
    class Day(date):
        @classmethod
        def today(cls) -> date:
            return date.fromisoformat(today)

    monkeypatch.setattr(releases, "date", Day)
    path = root / "app.json"
    path.write_text(
        path.read_text().replace('"description"', '"stack": "heroku-22", "description"', 1)
    )
    assert run(root, ["heroku"], None, as_json=False) == code
    out = capsys.readouterr().out
    assert "the stack heroku-22 (read until 2027-04-30)" in out
    assert ("warning" in out.splitlines()[1]) == (code == 0)


# end of target: heroku
# target: render
def test_a_form_without_a_date_is_a_warning(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (root / "render.yaml").read_text()
    (root / "render.yaml").write_text(text.replace("type: keyvalue\n", "type: redis\n", 1))
    (warning,) = found(root, "render", "deprecated")
    assert warning.warns
    assert run(root, ["render"], None, as_json=False) == 0
    assert "warning: render, deprecated: the type redis" in capsys.readouterr().out


# end of target: render
@WITH_ONE
def test_all_of_it_as_a_table_and_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", ANY]) == 0
    head, line, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["variables", "processes"]
    assert line.split()[:2] == [ANY, "ok"]
    assert main(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == TARGETS.keys()
    assert main(["check", "--schemas", "/no/such/folder"]) == 1
    assert "the folder of schemas /no/such/folder is not there" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["check", "geocities"])
    assert f"'geocities' is none of {', '.join(TARGETS)}" in capsys.readouterr().err


YOURS = """    stripe_api_key: StrongSecret = Field(description="Stripe's.")
    stripe_limit: int = Field(ge=1, description="A number.")
"""


@WITH_ONE
def test_required_settings_of_yours_are_missed_until_they_are_given(tmp_path: Path) -> None:
    """In a copy of the code, as somebody adds them; then with both in one of the manifests."""
    shutil.copytree(
        ROOT / "service", tmp_path / "service", ignore=shutil.ignore_patterns("__pycache__")
    )
    copied(tmp_path, ignored="__pycache__")
    path = tmp_path / "service" / "settings.py"
    head, seam, rest = path.read_text().partition("# --- Yours ---")
    line, _, rest = rest.partition("\n")
    path.write_text(f"{head}{seam}{line}\n{YOURS}{rest}")
    command = [sys.executable, "-m", "deploy", "check", "--json"]
    env = {**environment(), "SLIPWAY_SCHEMAS": ""}  # it may be a path from here
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    for target, table in json.loads(ended.stdout).items():
        told = "".join(each["what"] for each in table["variables"])
        assert "STRIPE_API_KEY" in told, target
        assert "STRIPE_LIMIT" in told, target
    # target: render
    path = tmp_path / "render.yaml"
    line = "      - { key: JWT_SECRET, generateValue: true }\n"
    more = (
        "      - { key: STRIPE_API_KEY, sync: false }\n      - { key: STRIPE_LIMIT, value: '3' }\n"
    )
    path.write_text(path.read_text().replace(line, line + more))
    command.append("render")
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert json.loads(ended.stdout)["render"]["variables"] == []
    # end of target: render


@pytest.fixture
def required(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that the class has from now on, and that is required."""
    fields = {**Settings.model_fields}
    fields["their_key"] = fields["jwt_secret"]
    monkeypatch.setattr(Settings, "__pydantic_fields__", fields)


def test_a_new_required_setting_is_missed_in_every_manifest(root: Path, required: None) -> None:
    for target in TARGETS:
        missed = [each for each in found(root, target, "variables") if "THEIR_KEY" in each.what]
        told = " ".join(each.what for each in missed)
        for word in (*KINDS, "production", "staging"):
            assert word in told, target
        assert all((root / each.place.file).is_file() for each in missed)


@pytest.mark.parametrize(
    ("command", "kind", "said"),
    [
        ("python -m service migrate --help", "migrate", "`migrate --help` only says how"),
        ("python -m service worker -h", "worker", "`worker -h` only says how"),
        ("python -m service web --he", "web", "`web --he` only says how"),
        ("gunicorn --bind 127.0.0.1:80 service.wsgi:app", "web", "is not how web is started"),
        ("gunicorn --workers=9 service.wsgi:app", "web", "is not how web is started"),
        ("gunicorn -c other.py service.wsgi:app", "web", "is not how web is started"),
        ("gunicorn service.wsgi:app --timeout 5", "web", "is not how web is started"),
        ("gunicorn service.wsgi:app", "worker", "is not how worker is started"),
        ("gunicorn 'service.wsgi:app", "web", "is no command"),
    ],
)
def test_a_command_that_only_looks_like_ours_is_refused(command: str, kind: str, said: str) -> None:
    assert said in (commands.wrong_command(command, kind) or "")


@pytest.mark.parametrize("options", ["", "--config gunicorn.conf.py ", "-c gunicorn.conf.py "])
def test_gunicorn_with_our_settings_is_web(options: str) -> None:
    assert commands.wrong_command(f"gunicorn {options}service.wsgi:app", "web") is None


# target: heroku
def test_the_dockerfile_is_that_of_the_tree_under_check(root: Path) -> None:
    for text in ("FROM scratch\n", "ARG PYTHON_IMAGE=python:3.99-slim\n"):
        (root / "Dockerfile").write_text(text)
        (finding,) = found(root, "heroku", "python")
        assert finding.place.file == ".python-version"


# end of target: heroku
def test_a_setting_that_asks_for_one_that_is_not_given_ends_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(written.VALID, "mail_from")
    _, problems = written.settings_of((("smtp_url", "smtp://mail.example.com"),))
    assert problems == {"mail_from": "is required with SMTP_URL"}


def test_the_page_has_the_table_as_it_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    """But for its last column, which depends on whether there are schemas."""
    text = (ROOT / "docs" / "rehearsals.md").read_text()
    shown = text.partition("<!-- check -->")[2].partition("<!-- /check -->")[0].splitlines()[2:]
    assert run(ROOT, [], None, as_json=False) == 0
    printed = capsys.readouterr().out.splitlines()
    for ours, theirs in zip(shown[: len(TARGETS) + 1], printed, strict=False):
        assert ours.split()[:-1] == theirs.split()[:-1]
