"""A manifest that is broken in any way is found, and those that lie here are clean."""

import json
import shutil
from pathlib import Path

import pytest

from deploy import rules
from deploy.__main__ import main
from deploy.check import check, run
from deploy.manifest import Finding
from deploy.targets import TARGETS
from service.settings import ROOT, environment

FILES = (
    *("Procfile", "app.json", ".python-version", "render.yaml", "fly.toml"),
    "deploy/fly/fly.staging.toml",
    *(".do/app.yaml", ".do/deploy.template.yaml", "deploy/digitalocean/app.staging.yaml"),
    *(
        f"deploy/cloudrun/{stage}/{name}.yaml"
        for stage in ("production", "staging")
        for name in ("service", "worker", "scheduler", "migrate")
    ),
)
given = environment().get("SLIPWAY_SCHEMAS") or str(ROOT.parent / "shared" / "schemas")
SCHEMAS = Path(given) if Path(given).is_dir() else None


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of all manifests."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def found(root: Path, target: str, rule: str) -> list[Finding]:
    column = check(root, target, SCHEMAS)[rule]
    return [] if isinstance(column, str) else column


@pytest.mark.parametrize("target", TARGETS)
def test_a_manifest_as_it_lies_here_is_clean(target: str) -> None:
    table = check(ROOT, target, SCHEMAS)
    assert {rule: each for rule, each in table.items() if each and each != "skipped"} == {}


RELEASE = "release: python -m service migrate\n"
JWT = '"generator": "secret"'
HOPS = '"PROXY_HOPS": { "value": "1" }'
PRE = "            preDeployCommand: python -m service migrate"
DO = ".do/app.yaml"
RUN = "deploy/cloudrun/production/service.yaml"
POOL = "deploy/cloudrun/production/worker.yaml"
SIGNAL = 'kill_signal = "SIGTERM"'
# target, rule, file, what is there, what is put in its place
BROKEN = [
    ("heroku", "variables", "app.json", JWT, '"value": "written-out"'),
    ("heroku", "variables", "app.json", "heroku-redis:mini", "papertrail:choklad"),
    ("heroku", "variables", "app.json", '"PROXY_HOPS"', '"PROXY_HOP"'),
    ("heroku", "variables", "app.json", '"95s"', '"95"'),
    ("heroku", "variables", "app.json", '"staging"', '"production"'),
    ("heroku", "processes", "Procfile", "service worker", "service wrker"),
    ("heroku", "processes", "Procfile", "service worker", "service worker --no-such-option"),
    ("heroku", "processes", "Procfile", "scheduler: python -m service scheduler\n", ""),
    ("heroku", "processes", "Procfile", "web: python -m service web", "web: flask run"),
    ("heroku", "migration", "Procfile", RELEASE, ""),
    ("heroku", "time", "app.json", '"95s"', '"75s"'),
    ("heroku", "time", "app.json", HOPS, HOPS + ', "SHUTDOWN_GRACE": { "value": "29s" }'),
    (
        "heroku",
        "time",
        "app.json",
        HOPS,
        HOPS + ', "DATABASE_STATEMENT_TIMEOUT": { "value": "40s" }',
    ),
    ("heroku", "proxies", "app.json", HOPS, '"PROXY_HOPS": { "value": "2" }'),
    ("heroku", "connections", "app.json", '"value": "3"', '"value": "9"'),
    ("heroku", "python", ".python-version", "3.13", "3.12"),
    ("heroku", "deprecated", "app.json", "essential-0", "hobby-dev"),
    ("heroku", "collisions", "uv.lock", "", "version = 1"),
    ("heroku", "schema", "app.json", '"formation"', '"formations"'),
    ("render", "variables", "render.yaml", "generateValue: true", "value: written-out"),
    ("render", "variables", "render.yaml", "- key: REDIS_URL", "- key: REDIS_URI"),
    ("render", "variables", "render.yaml", "value: production", "value: staging"),
    ("render", "processes", "render.yaml", "python -m service worker", "python worker.py"),
    ("render", "health", "render.yaml", "/health/ready", "/health/live"),
    ("render", "health", "render.yaml", "            healthCheckPath: /health/ready\n", ""),
    ("render", "migration", "render.yaml", PRE, "            #"),
    ("render", "time", "render.yaml", "maxShutdownDelaySeconds: 60", "maxShutdownDelaySeconds: 20"),
    (
        "render",
        "time",
        "render.yaml",
        "maxShutdownDelaySeconds: 60",
        "maxShutdownDelaySeconds: 600",
    ),
    (
        "render",
        "proxies",
        "render.yaml",
        '{ key: PROXY_HOPS, value: "2" }',
        '{ key: PROXY_HOPS, value: "1" }',
    ),
    ("render", "connections", "render.yaml", "maxInstances: 3", "maxInstances: 9"),
    ("render", "collisions", "railway.json", "", "{}"),
    ("render", "schema", "render.yaml", "plan: standard", "plan: gigantic"),
    ("digitalocean", "variables", DO, "key: REDIS_URL,", "key: REDIS_URI,"),
    ("digitalocean", "variables", DO, "type: SECRET, scope", "value: written-out, scope"),
    (
        "digitalocean",
        "variables",
        ".do/deploy.template.yaml",
        "value: production",
        "value: staging",
    ),
    ("digitalocean", "processes", DO, "python -m service migrate", "alembic upgrade head"),
    ("digitalocean", "processes", DO, "- name: scheduler", "- name: clock"),
    ("digitalocean", "health", DO, "http_path: /health/ready", "http_path: /"),
    ("digitalocean", "health", DO, "http_path: /health/live", "http_path: /health/ready"),
    ("digitalocean", "migration", DO, "kind: PRE_DEPLOY", "kind: POST_DEPLOY"),
    ("digitalocean", "time", DO, "15, grace_period_seconds: 60", "15, grace_period_seconds: 20"),
    ("digitalocean", "time", DO, "{ grace_period_seconds: 60", "{ grace_period_seconds: 900"),
    ("digitalocean", "proxies", DO, 'PROXY_HOPS, value: "1"', 'PROXY_HOPS, value: "0"'),
    ("digitalocean", "connections", DO, "max_instance_count: 3", "max_instance_count: 30"),
    ("digitalocean", "collisions", "docker-compose.yml", "", "services: {}"),
    ("digitalocean", "schema", DO, "engine: PG", "engine: ORACLE"),
    ("cloudrun", "variables", RUN, "name: REDIS_URL, value", "name: REDIS_URI, value"),
    ("cloudrun", "variables", RUN, "value: production", "value: staging"),
    ("cloudrun", "variables", RUN, "name: WEB_CONCURRENCY", "name: JWT_SECRET"),
    ("cloudrun", "processes", RUN, "[python, -m, service, web]", "[python, -m, service, serve]"),
    ("cloudrun", "processes", POOL, "          command:", "          args:"),
    ("cloudrun", "health", RUN, "path: /health/live", "path: /health/ready"),
    ("cloudrun", "time", RUN, "value: 6s", "value: 9s"),
    ("cloudrun", "proxies", RUN, 'PROXY_HOPS, value: "1"', 'PROXY_HOPS, value: "2"'),
    ("cloudrun", "collisions", "railway.toml", "", "x = 1"),
    ("cloudrun", "schema", RUN, "timeoutSeconds: 60", "timeoutSeconds: soon"),
    (
        "fly",
        "variables",
        "fly.toml",
        "DATABASE_URL REDIS_URL JWT_SECRET",
        "DATABASE_URL JWT_SECRET",
    ),
    ("fly", "variables", "fly.toml", "[env]\n", '[env]\nJWT_SECRET = "written-out"\n'),
    ("fly", "variables", "fly.toml", "DATABASE_POOL_MAX", "DATABASE_POOL_MOST"),
    ("fly", "processes", "fly.toml", "service scheduler", "service clock"),
    ("fly", "health", "fly.toml", "/health/ready", "/"),
    ("fly", "port", "fly.toml", "internal_port = 8000", "internal_port = 8080"),
    ("fly", "migration", "fly.toml", "release_command =", "seed_command ="),
    ("fly", "time", "fly.toml", SIGNAL, 'kill_signal = "SIGINT"'),
    ("fly", "time", "fly.toml", SIGNAL, ""),
    ("fly", "time", "fly.toml", "kill_timeout = 60", "kill_timeout = 10"),
    ("fly", "time", "deploy/fly/fly.staging.toml", "kill_timeout = 60", "kill_timeout = 600"),
    ("fly", "proxies", "fly.toml", 'PROXY_HOPS = "2"', 'PROXY_HOPS = "1"'),
    ("fly", "collisions", "docker-compose.yml", "", "services: {}"),
    ("fly", "schema", "fly.toml", 'strategy = "bluegreen"', 'strategy = "teal"'),
]
# Rules that have nothing to say of a target, and why.
SILENT = {
    ("heroku", "health"): "it does not ask",
    ("heroku", "port"): "it sets PORT, and its manifest names none",
    ("render", "port"): "it sets PORT, and its manifest names none",
    ("render", "python"): "it builds the Dockerfile",
    ("digitalocean", "port"): "PORT is set to http_port",
    ("digitalocean", "python"): "it builds the Dockerfile",
    ("digitalocean", "deprecated"): "only warnings: no date is known",
    ("cloudrun", "python"): "it builds the Dockerfile",
    ("cloudrun", "connections"): "its database is not in the manifest",
    ("cloudrun", "deprecated"): "no form of ours is",
    ("cloudrun", "port"): "PORT is set to containerPort",
    ("cloudrun", "migration"): "the order of commands, in its README",
    ("fly", "python"): "it builds the Dockerfile",
    ("fly", "connections"): "its database is not in the manifest",
    ("fly", "deprecated"): "no form of ours is",
    ("render", "deprecated"): "only warnings: no date is known",
}


@pytest.mark.parametrize(("target", "rule", "name", "there", "instead"), BROKEN)
def test_what_is_broken_is_found_with_its_file_and_line(
    root: Path, target: str, rule: str, name: str, there: str, instead: str
) -> None:
    if rule == "schema" and SCHEMAS is None:
        assert check(root, target, SCHEMAS)[rule] == "skipped"
        return
    path = root / name
    before = path.read_text() if there else ""
    assert there in before
    path.write_text(before.replace(there, instead, 1) if there else instead)
    findings = found(root, target, rule)
    assert findings, check(root, target, SCHEMAS)
    assert all(not each.warns for each in findings)
    for each in findings:
        lines = len((root / each.place.file).read_text().splitlines())
        assert 1 <= each.place.line <= lines + 1
        assert each.todo


def test_each_rule_was_seen_to_find_something_on_each_target() -> None:
    seen = {(target, rule) for target, rule, *_ in BROKEN} | SILENT.keys()
    wanted = {
        (target, rule) for target in TARGETS for rule in [*rules.RULES, "collisions", "schema"]
    }
    assert wanted - seen == set()


@pytest.mark.parametrize(
    ("target", "name", "text", "said"),
    [
        ("heroku", "Procfile", "", "Procfile:1: is empty"),
        ("heroku", "Procfile", "web python", "Procfile:1: is no `process: command`"),
        ("heroku", "Procfile", "web: a\nweb: b", "Procfile:2: web is there twice"),
        ("heroku", "app.json", '{"env": {},\n "env": {}}', "app.json:2: env is there twice"),
        ("heroku", "app.json", "{\n", "app.json:2: does not parse"),
        ("render", "render.yaml", "projects:\n  - [", "render.yaml:2: does not parse"),
        ("render", "render.yaml", "just text", "render.yaml:1: does not hold a mapping"),
        ("fly", "fly.toml", "app = 1\nx =\n", "fly.toml:2: does not parse"),
        ("fly", "fly.toml", None, "fly.toml is not there"),
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


def test_a_form_without_a_date_is_a_warning(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (root / "render.yaml").read_text()
    (root / "render.yaml").write_text(text.replace("type: keyvalue\n", "type: redis\n", 1))
    (warning,) = found(root, "render", "deprecated")
    assert warning.warns
    assert run(root, ["render"], None, as_json=False) == 0
    assert "warning: render, deprecated: the type redis" in capsys.readouterr().out


def test_all_of_it_as_a_table_and_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "heroku"]) == 0
    head, line, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["variables", "processes"]
    assert line.split()[:2] == ["heroku", "ok"]
    assert main(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == TARGETS.keys()
    assert main(["check", "--schemas", "/no/such/folder"]) == 1
    assert "the folder of schemas /no/such/folder is not there" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["check", "geocities"])
    assert (
        "'geocities' is none of cloudrun, digitalocean, fly, heroku, render"
        in capsys.readouterr().err
    )


@pytest.fixture
def required(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that the class has from now on, and that is required."""
    fields = {**rules.Settings.model_fields}
    fields["their_key"] = fields["jwt_secret"]
    monkeypatch.setattr(rules.Settings, "__pydantic_fields__", fields)


def test_a_new_required_setting_is_missed_in_every_manifest(root: Path, required: None) -> None:
    for target in TARGETS:
        missed = [each for each in found(root, target, "variables") if "THEIR_KEY" in each.what]
        assert len(missed) >= 4, target
