"""The production checklist: each item, once as it is to be, and once as it is not."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy import readiness, smoke
from deploy.docker import manifest as docker
from deploy.readiness import live, manifests, operations, repository, traffic, variables
from deploy.readiness.answers import Verdict
from deploy.readiness.platforms import LOOKS
from deploy.readiness.report import look
from deploy.readiness.subject import READERS, Subject
from deploy.rules import RULES
from deploy.shell import Failed
from deploy.vps import manifest as vps
from deploy.vps.provision.secrets import Secrets
from deploy.vps.provision.variables import variables as provisioned
from deploy.vps.settings import load
from service.environment import ROOT
from tests.deploy.prometheus import RULES as RULE_FILES
from tests.deploy.standin import HEAD, HEALTHY, ONE, THREE
from tests.deploy.test_check import copied

COPIED = (
    *("compose.yaml", "compose.production.yaml", "pyproject.toml"),
    *("requirements-dev.txt", "bench/requirements.txt"),
)
WELL = {
    name: {"check": name, "result": "ok", "ms": 1, "why": ""}
    for name in (check.__name__ for check in smoke.CHECKS)
}
LIVE = smoke.Service("https", "api.example.com", 443)
UNITS = "deploy/vps/units/slipway-web@.service"
TOML = "deploy/servers.toml"
TRIED = {"tried": {"restore-test": "2026-11-01T10:00:00Z", "rollback": "2026-11-02T10:00:00Z"}}
COPY = HEAD + '[backups]\ncopy_to = "backup@203.0.113.99:/srv/backups"\n' + ONE.removeprefix(HEAD)
SET = dict.fromkeys(("DATABASE_URL", "REDIS_URL", "JWT_SECRET", "SMOKE_TOKEN"), "(set)")
MADE = "{ key: JWT_SECRET, generateValue: true }"
LOG = ".deploy/log.jsonl"
BACK = """{"at": "2026-11-03T10:00:00+00:00", "who": "alice", "target": "fly", \
"stage": "production", "verb": "rollback", "version": "v7", "seconds": 9.0, "result": "ok"}
"""
DROP = "migrations/versions/1_drop.py"
REVISION = '''"""Drop."""

from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    op.drop_column("users", "name")
'''
DEMO = 'EMAIL = "alice@example.com"\nPASSWORD = "demo-password"\n'


class Case(NamedTuple):
    """An item, what it is asked of, what of that is changed, and what it then comes to."""

    item: readiness.Item
    target: str
    verdict: Verdict
    says: str
    edits: Mapping[str, tuple[str, str] | str | None] = {}  # a file: a replacement, a text, or gone
    rows: Mapping[str, str] | None = None  # of the smoke test; None: without --url
    seen: Mapping[str, Any] = {}  # what servers say
    service: smoke.Service = LIVE


def without(file: str, text: str) -> dict[str, tuple[str, str]]:
    return {file: (text, "")}


STATUS = {"statuses": {"one": {**HEALTHY, **TRIED}}}
CASES = [
    Case(manifests.manifests, "heroku", "pass", "rules find nothing wrong"),
    Case(manifests.manifests, "heroku", "fail", "app.json:", {"app.json": ("PROXY_HOPS", "HOPS")}),
    Case(manifests.manifests, "docker", "pass", "12 rules find nothing wrong"),
    Case(
        manifests.manifests,
        "docker",
        "fail",
        "compose.production.yaml:10: HOPS is no setting",
        {"compose.production.yaml": ("PROXY_HOPS", "HOPS")},
    ),
    Case(manifests.manifests, "vps", "pass", "12 rules find nothing wrong", {TOML: ONE}),
    Case(
        manifests.manifests,
        "vps",
        "fail",
        f"{UNITS}:",
        {TOML: ONE, UNITS: ("python -m service web", "python -m service work")},
    ),
    Case(manifests.processes, "heroku", "pass", "web 1, worker 1, scheduler 1"),
    Case(
        manifests.processes,
        "heroku",
        "fail",
        "no scheduler",
        without("Procfile", "scheduler: python -m service scheduler\n"),
    ),
    Case(
        manifests.processes,
        "heroku",
        "fail",
        "no worker is started",
        {"app.json": ('"worker": { "quantity": 1', '"worker": { "quantity": 0')},
    ),
    Case(manifests.instances, "ecs", "pass", "2 to 4"),
    Case(manifests.instances, "heroku", "by hand", "one web: nobody is served"),
    Case(manifests.instances, "docker", "by hand", "does not say"),
    Case(
        manifests.instances,
        "heroku",
        "fail",
        "no web runs",
        {"app.json": ('"web": { "quantity": 1', '"web": { "quantity": 0')},
    ),
    Case(manifests.schema_first, "heroku", "pass", "Procfile:"),
    Case(
        manifests.schema_first,
        "heroku",
        "fail",
        "before its schema is migrated",
        without("Procfile", "release: python -m service migrate\n"),
    ),
    Case(traffic.health_checks, "fly", "pass", "/health/ready"),
    Case(traffic.health_checks, "docker", "pass", "healthcheck web"),
    Case(traffic.health_checks, "vps", "by hand", "vps status", {TOML: ONE}),
    Case(
        traffic.health_checks, "fly", "fail", "is asked", {"fly.toml": ("/health/ready", "/health")}
    ),
    Case(traffic.graceful_stop, "docker", "pass", "web 25 of 40 s"),
    Case(
        traffic.graceful_stop,
        "docker",
        "fail",
        "compose.yaml:33: web of production needs 28 s to stop, and has 20",
        {"compose.yaml": ("stop_grace_period: 40s # l", "stop_grace_period: 20s # l")},
    ),
    Case(
        traffic.graceful_stop,
        "vps",
        "fail",
        "web of production needs 28 s to stop, and has 9",
        {TOML: ONE, UNITS: ("TimeoutStopSec=40", "TimeoutStopSec=9")},
    ),
    Case(traffic.connections, "docker", "pass", "of 197"),
    Case(
        traffic.connections,
        "docker",
        "fail",
        "its database allows 37",
        {"compose.yaml": ("max_connections=200", "max_connections=40")},
    ),
    Case(traffic.proxy_hops, "docker", "pass", "sees who asks", rows={}),
    Case(traffic.proxy_hops, "docker", "by hand", "not asked"),
    Case(traffic.proxy_hops, "docker", "fail", "is a proxy", rows={"client": "is a proxy"}),
    Case(
        traffic.proxy_hops,
        "docker",
        "fail",
        "trusts 2 proxies, and is behind 1",
        {"compose.production.yaml": ('PROXY_HOPS: "1"', 'PROXY_HOPS: "2"')},
    ),
    Case(live.https, "docker", "pass", "HSTS", rows={}),
    Case(live.https, "docker", "by hand", "nothing was asked"),
    Case(live.https, "docker", "fail", "no HSTS", rows={"tls": "no HSTS"}),
    Case(live.https, "docker", "by hand", "redirect: late", rows={"redirect": "skipped: late"}),
    Case(live.https, "vps", "by hand", "HTTPS_ONLY is false", {TOML: ONE}, rows={}),
    Case(
        live.https,
        "docker",
        "fail",
        "by http",
        rows={},
        service=smoke.Service("http", "api.example.com", 80),
    ),
    Case(live.answers, "docker", "pass", "ready, health", rows={}),
    Case(live.answers, "docker", "fail", "cors: anybody", rows={"cors": "anybody"}),
    Case(live.answers, "docker", "by hand", "job: no token", rows={"job": "skipped: no token"}),
    Case(live.domain, "fly", "pass", "api.example.com", rows={}),
    Case(live.domain, "fly", "by hand", "nothing was asked"),
    Case(
        live.domain,
        "fly",
        "fail",
        "is the platform's",
        rows={},
        service=smoke.Service("https", "shop.fly.dev", 443),
    ),
    Case(
        live.domain,
        "vps",
        "fail",
        "not the domain of servers.toml",
        {TOML: ONE},
        rows={},
        service=smoke.Service("https", "other.example.com", 443),
    ),
    Case(
        live.domain,
        "docker",
        "fail",
        "is no name",
        rows={},
        service=smoke.Service("https", "203.0.113.7", 443),
    ),
    Case(live.domain, "docker", "fail", "no address", rows={"ready": "no address"}),
    Case(variables.secrets, "render", "pass", "JWT_SECRET made there"),
    Case(
        variables.secrets,
        "render",
        "by hand",
        "comes from vault://kv/slipway",
        {"render.yaml": (MADE, '{ key: SECRETS_FROM, value: "vault://kv/slipway" }')},
    ),
    Case(
        variables.secrets,
        "vps",
        "by hand",
        "comes from vault://kv/slipway",
        {TOML: ONE},
        seen={"set_there": {**SET, "JWT_SECRET": "", "SECRETS_FROM": "vault://kv/slipway"}},
    ),
    Case(variables.secrets, "heroku", "by hand", "set there by hand: JWT_SECRET"),
    Case(variables.secrets, "heroku", "by hand", "set there by hand", rows={}),
    *(
        Case(
            variables.secrets,
            "heroku",
            verdict,
            says,
            rows={},
            service=smoke.Service("https", "a.example.com", 443, begun={"environment": stage}),
        )
        for stage, verdict, says in (
            ("production", "pass", "refused"),
            ("test", "by hand", "set there by hand"),
        )
    ),
    Case(
        variables.secrets,
        "heroku",
        "fail",
        ".env.heroku.production:2: DATABASE_URL is a placeholder",
        {".env.heroku.production": "JWT_SECRET=x\nDATABASE_URL=postgresql://service:change-me@h/d"},
    ),
    Case(
        variables.secrets,
        "docker",
        "fail",
        "no JWT_SECRET",
        without("compose.production.yaml", "  JWT_SECRET_FILE: /run/secrets/jwt_secret\n"),
    ),
    Case(
        variables.secrets,
        "docker",
        "fail",
        "JWT_SECRET is a placeholder",
        {"compose.production.yaml": ("JWT_SECRET_FILE: /run/secrets", "JWT_SECRET: change-me")},
    ),
    Case(
        variables.secrets, "vps", "pass", "set on the servers", {TOML: ONE}, seen={"set_there": SET}
    ),
    Case(
        variables.secrets,
        "vps",
        "fail",
        "not set: DATABASE_URL",
        {TOML: ONE},
        seen={"set_there": {**SET, "DATABASE_URL": ""}},
    ),
    *(
        case
        for item, name in (
            (variables.metrics_token, "METRICS_TOKEN"),
            (variables.error_reports, "SENTRY_DSN"),
            (variables.mail, "SMTP_URL"),
        )
        for case in (
            Case(item, "vps", "pass", "is set", {TOML: ONE}, seen={"set_there": {name: "(set)"}}),
            Case(item, "vps", "fail", "is not set", {TOML: ONE}, seen={"set_there": {}}),
            Case(item, "fly", "by hand", f"{name} is in no manifest"),
        )
    ),
    Case(variables.logs, "fly", "pass", "json, INFO"),
    Case(
        variables.logs,
        "fly",
        "fail",
        "LOG_LEVEL is DEBUG",
        {"fly.toml": ("[env]\n", '[env]\nLOG_LEVEL = "DEBUG"\n')},
    ),
    Case(
        variables.logs,
        "vps",
        "fail",
        "LOG_FORMAT is console",
        {TOML: ONE},
        seen={"set_there": {"LOG_FORMAT": "console"}},
    ),
    Case(variables.rate_limits, "fly", "pass", "100 in 15 minutes for all, 5 in 60"),
    Case(
        variables.rate_limits,
        "fly",
        "fail",
        "1000 in 1 minutes for sign-in",
        {"fly.toml": ("[env]\n", '[env]\nRATE_LIMIT_LOGIN = "1000 per minute"\n')},
    ),
    Case(variables.rate_limits, "fly", "fail", "no Redis", rows={"limits": "no Redis"}),
    Case(operations.backups, "vps", "pass", "5 h old, and copied", {TOML: COPY}, seen=STATUS),
    Case(operations.backups, "vps", "by hand", "lies on the server", {TOML: ONE}, seen=STATUS),
    Case(
        operations.backups,
        "vps",
        "fail",
        "72 h old",
        {TOML: COPY},
        seen={"statuses": {"one": {**HEALTHY, "backup_age": 3 * 86400}}},
    ),
    Case(
        operations.backups,
        "vps",
        "fail",
        "there is none",
        {TOML: COPY},
        seen={"statuses": {"one": {**HEALTHY, "backup_age": None}}},
    ),
    Case(operations.backups, "fly", "by hand", "whoever has the database"),
    Case(operations.restore, "vps", "pass", "tried at 2026-11-01", {TOML: ONE}, seen=STATUS),
    Case(
        operations.restore,
        "vps",
        "fail",
        "no restore was tried",
        {TOML: ONE},
        seen={"statuses": {"one": HEALTHY}},
    ),
    Case(operations.restore, "fly", "by hand", "nobody sees it"),
    Case(operations.rollback, "vps", "pass", "tried at 2026-11-02", {TOML: ONE}, seen=STATUS),
    Case(
        operations.rollback,
        "vps",
        "fail",
        "nobody has gone back yet",
        {TOML: ONE},
        seen={"statuses": {"one": HEALTHY}},
    ),
    Case(
        operations.rollback,
        "vps",
        "fail",
        "one release only",
        {TOML: ONE},
        seen={"statuses": {"one": {**HEALTHY, **TRIED, "kept": ["20261126T120000Z-0123"]}}},
    ),
    Case(operations.rollback, "fly", "by hand", "nobody sees it"),
    Case(operations.rollback, "fly", "pass", "tried at 2026-11-03", {LOG: BACK}),
    Case(
        operations.rollback,
        "fly",
        "by hand",
        "nobody sees it",
        {LOG: BACK.replace("ok", "stopped")},
    ),
    Case(operations.rollback, "ecs", "by hand", "nobody sees it", {LOG: BACK}),
    Case(operations.alerts, "fly", "by hand", "rules: deploy/monitoring/rules/alerts.yml"),
    Case(
        operations.alerts,
        "fly",
        "by hand",
        "no rules are here",
        {str(path.relative_to(ROOT)): None for path in RULE_FILES},
    ),
    Case(repository.locked_dependencies, "fly", "pass", "packages in requirements.txt"),
    Case(
        repository.locked_dependencies,
        "fly",
        "fail",
        "requirements.txt has flask None",
        {"requirements.txt": ("\nflask==", "\nflusk==")},
    ),
    Case(
        repository.locked_dependencies,
        "fly",
        "fail",
        "bench/requirements.txt has dramatiq None",
        {"bench/requirements.txt": None},
    ),
    Case(repository.migrations, "fly", "pass", "0 revisions"),
    Case(repository.migrations, "fly", "fail", "versions/1_drop.py:", {DROP: REVISION}),
    Case(repository.sample_removed, "fly", "pass", "there is no service/posts"),
    Case(
        repository.sample_removed,
        "fly",
        "fail",
        "service/posts is there",
        {"service/posts/__init__.py": ""},
    ),
    Case(
        repository.name_changed,
        "fly",
        "pass",
        "shop",
        {"pyproject.toml": '[project]\nname = "shop"'},
    ),
    Case(
        repository.name_changed,
        "fly",
        "fail",
        "it is called",
        {"pyproject.toml": f'[project]\nname = "{repository.TEMPLATE}"'},
    ),
    Case(
        repository.security_contact,
        "fly",
        "pass",
        "a@shop.org",
        {"SECURITY.md": "Tell a@shop.org."},
    ),
    Case(
        repository.security_contact,
        "fly",
        "fail",
        "names nobody",
        {"SECURITY.md": "Write to security@example.com."},
    ),
    Case(repository.security_contact, "fly", "fail", "there is no SECURITY.md"),
    Case(live.demo_accounts, "fly", "pass", "there is no service/users/demo.py"),
    Case(live.demo_accounts, "fly", "by hand", "nothing was asked", {live.DEMO: DEMO}),
]
# Of targets that are here: one may have left.
HERE = [case for case in CASES if case.target in READERS]
# These ask the service itself: test_readiness_live.py has the rest.
BY_NAME = {(case.item, case.verdict) for case in CASES}
ASKED = {live.version, live.demo_accounts, variables.metrics_token}
DECIDED_BY_PEOPLE = {operations.alerts}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is looked at; each test puts back what it has changed."""
    root = copied(tmp_path_factory.mktemp("readiness"))
    (root / "bench").mkdir()
    for name in COPIED:
        shutil.copy(ROOT / name, root / name)
    (root / "deploy" / "servers.toml").unlink(missing_ok=True)
    (root / "migrations" / "versions").mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=f"{c.item.__name__}-{c.target}-{c.verdict}") for c in HERE]
)
def test_an_item_passes_or_says_what_is_wrong_and_what_to_do(case: Case, shared: Path) -> None:
    with edited(shared, case.edits):
        answer = case.item(subject(shared, case))
    assert (answer.verdict, case.says in answer.evidence) == (case.verdict, True), answer
    assert (answer.todo == "") == (answer.verdict == "pass")


def test_every_item_is_tried_as_it_is_to_be_and_as_it_is_not() -> None:
    for item in (each for items in readiness.ITEMS.values() for each in items):
        assert readiness.promise(item).endswith("."), item
        if item not in DECIDED_BY_PEOPLE | ASKED:
            assert {(item, "pass"), (item, "fail")} <= BY_NAME, item.__name__


def test_every_target_has_what_to_type() -> None:
    assert READERS.keys() <= LOOKS.keys()
    for target in READERS:
        for stage in ("production", "staging"):
            shown = Subject(ROOT, target, stage).looks
            assert "{app}" not in str(shown) and "{stage}" not in str(shown), shown


def test_what_cannot_be_read_is_said_once(shared: Path) -> None:
    found = list(look(Subject(shared, "vps")))
    said = [answer for _, _, answer in found if "servers.toml is not there" in answer.evidence]
    assert [answer.verdict for answer in said] == ["fail"]
    others = [answer for _, _, answer in found if answer.evidence == "not looked at, as manifests"]
    assert len(others) > 10 and all(answer.verdict == "fail" for answer in others)


@pytest.mark.parametrize("toml", [ONE, THREE])
def test_the_manifest_of_servers_has_what_provisioning_gives_them(toml: str, shared: Path) -> None:
    with edited(shared, {TOML: toml}):
        fleet = load(shared)
        web = vps.read_manifest(shared).stages[0].processes["web"]
    made = provisioned(fleet, fleet.with_role("web")[0], Secrets())
    assert set(web.variables) == set(made)
    assert {n: v.value for n, v in web.variables.items() if v.value is not None} == {
        name: made[name] for name in ("APP_ENV", "PROXY_HOPS", "HTTPS_ONLY")
    }
    assert web.least and web.least.value == len(fleet.with_role("web"))


def test_the_manifest_of_a_docker_host_is_that_of_its_compose_files() -> None:
    manifest = docker.read_manifest(ROOT)
    assert [finding for rule in RULES.values() for finding in rule(manifest)] == []
    web = manifest.stages[0].processes["web"]
    assert (web.command, web.grace and web.grace.value) == ("python -m service web", 40)
    assert web.variables["PROXY_HOPS"].value == "1"
    assert web.place.line > 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: [", "compose.yaml:1: does not parse"),
        ("name: x", "compose.yaml:1: has no services"),
        ("services: {web: {}}", "compose.yaml:1: has no service worker"),
        ("", "compose.yaml:1: is empty"),
    ],
)
def test_compose_files_that_are_none_are_said_with_their_line(
    text: str, said: str, shared: Path
) -> None:
    with edited(shared, {"compose.yaml": text}), pytest.raises(Failed, match=said):
        docker.read_manifest(shared)


@pytest.mark.parametrize("target", [name for name in READERS if name != "vps"])
def test_what_lies_here_is_right_but_for_what_is_yours_to_do(target: str) -> None:
    """As cloned: the sample, the name and whom to tell are of the template."""
    found = {item: answer for _, item, answer in look(Subject(ROOT, target))}
    yours = {repository.security_contact, repository.sample_removed, repository.name_changed}
    wrong = {item: answer for item, answer in found.items() if answer.verdict == "fail"}
    assert wrong.keys() <= yours, wrong
    assert {manifests.manifests, repository.locked_dependencies} <= {
        item for item, answer in found.items() if answer.verdict == "pass"
    }


def subject(root: Path, case: Case) -> Subject:
    found = Subject(root, case.target, service=None if case.rows is None else case.service)
    if case.rows is not None:
        rows = {name: dict(row) for name, row in WELL.items()}
        for name, why in case.rows.items():
            skipped = why.startswith("skipped: ")
            rows[name] |= {
                "result": "skipped" if skipped else "failed",
                "why": why.removeprefix("skipped: "),
            }
        vars(found)["answers"] = rows
    vars(found).update(case.seen)
    return found


@contextmanager
def edited(root: Path, edits: Mapping[str, tuple[str, str] | str | None]) -> Iterator[None]:
    before = {name: (root / name).read_text() if (root / name).exists() else None for name in edits}
    try:
        for name, edit in edits.items():
            text = edit
            if isinstance(edit, tuple):
                assert edit[0] in (root / name).read_text(), edit
                text = (root / name).read_text().replace(*edit)
            if text is None:
                (root / name).unlink()
                continue
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        yield
    finally:
        for name, text in before.items():
            if text is None:
                (root / name).unlink(missing_ok=True)
                if name.startswith("service/posts"):
                    (root / name).parent.rmdir()
            else:
                (root / name).write_text(text)
