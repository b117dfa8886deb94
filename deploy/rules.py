"""What holds for each manifest: the settings class is the source, and the platform has its own.

Add a rule: a function that yields a Finding for what is wrong, and its name in RULES.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import cache
from typing import Annotated

from pydantic import Field, ValidationError, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from deploy.manifest import KINDS, Finding, Manifest, Process, Stage, Variable
from deploy.reading import Place
from service.settings import ROOT, Settings, is_secret, variable

MARGIN = 3  # seconds between our own end and the platform's
READY, LIVE = "/health/ready", "/health/live"
# What a request may take by our own limits: the statement's time-out, and 5 s to connect and wait.
PATIENCE = 5
VALID = {
    "app_env": "production",
    # What others ask for, and may be a reference: S3_BUCKET and SMTP_URL.
    "aws_access_key_id": "x",
    "aws_secret_access_key": "x",
    "mail_from": "service@example.com",
}
# Known to Python, the server or the tools, and no business of the settings class.
FOREIGN = {"PYTHONUNBUFFERED", "PYTHONHASHSEED", "WEB_CONCURRENCY_SET_BY", "SENTRY_RELEASE"}
# The forms that are `python -m service web`.
GUNICORN = (
    ["gunicorn", "service.wsgi:app"],
    ["gunicorn", "--config", "gunicorn.conf.py", "service.wsgi:app"],
    ["gunicorn", "-c", "gunicorn.conf.py", "service.wsgi:app"],
)

Findings = Iterator[Finding]
Rule = Callable[[Manifest], Findings]


def variables(manifest: Manifest) -> Findings:
    """Each required one is given, none is unknown, no secret is written out, each value is one."""
    required = {
        variable(name, each): each
        for name, each in Settings.model_fields.items()
        if each.is_required()
    }
    known = {variable(name, each): name for name, each in Settings.model_fields.items()}
    for stage, process in _processes(manifest):
        given = process.variables
        for name in required:
            if not {name, f"{name}_FILE"} & {*given, *manifest.platform.sets}:
                yield Finding(
                    "variables",
                    process.place,
                    f"{process.kind} of {stage.name} has no {name}, which is required",
                    f"give it there; {required[name].description}",
                )
        said = given.get("APP_ENV")
        if stage.name != "production" and (said is None or said.value is None):
            yield Finding(
                "variables",
                process.place,
                f"{process.kind} of {stage.name} is not told APP_ENV, and would be production",
                f"APP_ENV={stage.name}",
            )
        problems = _settings(_written(process))[1]
        for name, each in given.items():
            field = known.get(name.removesuffix("_FILE"))
            if field is None and name not in FOREIGN | set(manifest.platform.sets):
                yield Finding(
                    "variables",
                    each.place,
                    f"{name} is no setting of the service",
                    "correct or remove it; service/settings.py has them all",
                )
            elif field and each.value is not None:
                yield from _value(field, each, stage, problems.get(field))


def _value(field: str, given: Variable, stage: Stage, problem: str | None) -> Findings:
    if is_secret(Settings.model_fields[field]) and not given.name.endswith("_FILE"):
        what, todo = (
            f"{given.name} is a secret, and is written out",
            "refer to it; `python -m deploy env` says how it is set",
        )
    elif problem:
        what, todo = f"{given.name}={given.value} {problem}", "correct it"
    elif field == "app_env" and given.value != stage.name:
        what, todo = f"APP_ENV is {given.value} in {stage.name}", f"set it to {stage.name}"
    else:
        return
    yield Finding("variables", given.place, what, todo)


class Given(Settings):
    """The settings class with nothing but what it is given: not the environment of who checks."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _written_out() -> type[Given]:
    """And what is required may be missing: it comes from elsewhere, and nobody here knows it."""
    fields = {}
    for name, each in Settings.model_fields.items():
        if each.is_required():
            kind = Annotated[each.annotation, *each.metadata]  # type: ignore[name-defined]
            fields[name] = (kind, Field(None, validate_default=False))
    return create_model("Written", __base__=Given, **fields)  # type: ignore[call-overload, no-any-return]


Written = _written_out()


def _written(process: Process) -> tuple[tuple[str, str], ...]:
    """The settings that a manifest writes out for a process, by field."""
    fields = {variable(name, each): name for name, each in Settings.model_fields.items()}
    return tuple(
        (fields[name], each.value)
        for name, each in process.variables.items()
        if name in fields and each.value is not None
    )


@cache
def _settings(written: tuple[tuple[str, str], ...]) -> tuple[Settings, dict[str, str]]:
    """What these come to, with the defaults of the rest; and what is wrong with some of them."""
    problems: dict[str, str] = {}
    while True:
        given = {name: value for name, value in written if name not in problems}
        try:
            return Written(**{**VALID, **given}), problems  # type: ignore[arg-type]
        except ValidationError as error:
            before = len(problems)
            for each in error.errors(include_url=False):
                said = str(each["msg"]).removeprefix("Value error, ")
                problems[str(each["loc"][0]).lower()] = said
            if len(problems) == before:  # of one that is not given: nothing is left to leave out
                return Written(**VALID), problems  # type: ignore[arg-type]


def processes(manifest: Manifest) -> Findings:
    """web, worker, scheduler and migrate are there, and their commands are commands."""
    for stage in manifest.stages:
        for kind in KINDS:
            if kind not in stage.processes:
                yield Finding(
                    "processes",
                    stage.place,
                    f"{stage.name} has no {kind}",
                    f"add it: python -m service {kind}",
                )
        for process in stage.processes.values():
            command = process.command
            if command is None:
                if process.kind != "web":  # what the Dockerfile runs
                    yield _wrong_command(process, "nothing is said, so the image runs web")
                continue
            if problem := wrong_command(command, process.kind):
                yield _wrong_command(process, problem)


def _wrong_command(process: Process, problem: str) -> Finding:
    return Finding(
        "processes",
        process.place,
        f"{process.kind}: {problem}",
        f"python -m service {process.kind}",
    )


def wrong_command(command: str, kind: str) -> str | None:
    """What is wrong with a command for a kind of process; None if nothing is."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"{command!r} is no command: {error}"
    if words[:1] == ["gunicorn"]:
        # Options go before gunicorn.conf.py: a --bind, --timeout or --workers would undo it.
        ours = kind == "web" and words in GUNICORN
        return None if ours else f"{command!r} is not how {kind} is started"
    if words[:3] not in (["python", "-m", "service"], ["python3", "-m", "service"]):
        return f"{command!r} is no `python -m service …`"
    if words[3:4] != [kind]:
        return f"{command!r} is not {kind}"
    return _said_of(tuple(words[3:]))


def wrong_check(command: str, kind: str) -> str | None:
    """What is wrong with a command that says whether a process of a kind is well."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"{command!r} is no command: {error}"
    if "healthcheck" not in words:
        return None  # of another kind: its reader looks at it
    if words[words.index("healthcheck") + 1 :] != [kind]:
        return f"{command!r} does not check {kind}"
    return _said_of(tuple(words[words.index("healthcheck") :]))


@cache
def _said_of(words: tuple[str, ...]) -> str | None:
    """What the service says of its own command line, which is not run."""
    program = "import sys; from service.__main__ import parser; parser().parse_args(sys.argv[1:])"
    tried = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True
    )
    if tried.stdout:  # of --help: it ends well, and has done nothing
        return f"`{shlex.join(words)}` only says how it is called"
    return None if tried.returncode == 0 else tried.stderr.strip().splitlines()[-1]


def references(manifest: Manifest) -> Findings:
    """What is referred to is there, and is that of the stage: a test in staging must not write
    into the database of production. The reader of each format looks where references lead."""
    owners: dict[str, Stage] = {}
    for stage, process in _processes(manifest):
        for name, each in process.variables.items():
            if each.refers and owners.setdefault(each.refers, stage).name != stage.name:
                yield Finding(
                    "references",
                    each.place,
                    f"{name} of {stage.name} is {each.refers}, as in {owners[each.refers].name}",
                    f"refer to what is {stage.name}'s own",
                )


def release(manifest: Manifest) -> Findings:
    """At least one of each runs, and a release loses neither requests nor jobs. What only one
    format can say of that, its reader looks at."""
    for stage, process in _processes(manifest):
        if process.least is not None and process.least.value < 1:
            yield Finding(
                "release",
                process.least.place,
                f"no {process.kind} runs in {stage.name}",
                "1 at least",
            )


def health(manifest: Manifest) -> Findings:
    """web is asked whether it is ready, and is never ended for a database that is down; a command
    that says whether a process is well is one."""
    for stage, process in _processes(manifest):
        for check in process.checks:
            if problem := wrong_check(str(check.value), process.kind):
                yield Finding(
                    "health",
                    check.place,
                    f"{process.kind} of {stage.name}: {problem}: it would be ended for ever",
                    f"python -m service healthcheck {process.kind}",
                )
        if process.kind != "web":
            continue
        asked = [probe for probe in process.probes if not probe.stops]
        if not asked and manifest.platform.asks:
            yield Finding(
                "health", process.place, f"web of {stage.name} is not asked", f"ask {READY}"
            )
        for probe in process.probes:
            wanted = LIVE if probe.stops else READY
            if probe.path != wanted:
                why = (
                    "web would be started again because the database is down"
                    if probe.stops
                    else "it would get requests before it can answer them"
                )
                yield Finding(
                    "health", probe.place, f"{probe.path} is asked: {why}", f"ask {wanted}"
                )


def port(manifest: Manifest) -> Findings:
    """Requests are sent where web listens."""
    default = str(Settings.model_fields["port"].default)
    for stage, process in _processes(manifest):
        if process.kind != "web" or process.port is None:
            continue
        given = process.variables.get("PORT")
        sets = manifest.platform.sets
        listens = given.value if given else sets.get("PORT", default)
        for asked in (probe.port for probe in process.probes if probe.port is not None):
            if listens is not None and str(asked.value) != listens:
                yield Finding(
                    "port",
                    asked.place,
                    f"web of {stage.name} is asked at {asked.value}, and listens at {listens}",
                    "make them one",
                )
        if listens is not None and str(process.port.value) != listens:
            yield Finding(
                "port",
                process.port.place,
                f"requests of {stage.name} go to {process.port.value}, web listens at {listens}",
                "make them one",
            )


def migration(manifest: Manifest) -> Findings:
    """The schema is there before the code that needs it."""
    for stage in manifest.stages:
        if stage.migrates_first is None:
            yield Finding(
                "migration",
                stage.place,
                f"{stage.name} takes traffic before its schema is migrated",
                "run `python -m service migrate` first, as deploy/<target>/README.md has it",
            )


def time(manifest: Manifest) -> Findings:
    """Who is told to stop has the time; connections and requests end on our side last, or first."""
    platform = manifest.platform
    for stage, process in _processes(manifest):
        if process.kind == "migrate":
            continue
        has = process.grace.value if process.grace else platform.grace
        place = process.grace.place if process.grace else process.place
        needs = process.drain + _seconds(process, "shutdown_grace") + MARGIN
        if needs > has:
            yield Finding(
                "time",
                place,
                f"{process.kind} of {stage.name} needs {needs:g} s to stop, and has {has:g}",
                "give it more, or lower SHUTDOWN_GRACE",
            )
        if has > platform.grace_most:
            yield Finding(
                "time",
                place,
                f"{has:g} s to stop are more than {platform.name} gives",
                f"{platform.grace_most:g} at most",
            )
        if process.kind == "web":
            yield from _of_the_proxy(manifest, process)


def _of_the_proxy(manifest: Manifest, process: Process) -> Findings:
    platform = manifest.platform
    keeps = _seconds(process, "web_keepalive")
    if platform.idle is not None and keeps <= platform.idle:
        yield Finding(
            "time",
            _place(process, "WEB_KEEPALIVE"),
            f"web closes idle connections after {keeps:g} s, the proxy after {platform.idle:g}:"
            " requests would meet a closed one",
            f"WEB_KEEPALIVE={platform.idle + 5:g}s",
        )
    takes = seconds_of_a_request(process)
    if platform.answers_within is not None and takes > platform.answers_within:
        yield Finding(
            "time",
            _place(process, "DATABASE_STATEMENT_TIMEOUT"),
            f"a request may take {takes:g} s, the proxy waits {platform.answers_within:g}",
            "lower DATABASE_STATEMENT_TIMEOUT",
        )


def seconds_of_a_request(process: Process) -> float:
    """What one may take by our own limits."""
    return _seconds(process, "database_statement_timeout") + PATIENCE


def proxies(manifest: Manifest) -> Findings:
    """The client's address is right: as many proxies are trusted as there are."""
    for stage, process in _processes(manifest):
        if process.kind != "web":
            continue
        given = process.variables.get("PROXY_HOPS")
        trusted = given.value if given else str(Settings.model_fields["proxy_hops"].default)
        if trusted != str(manifest.platform.hops):
            yield Finding(
                "proxies",
                given.place if given else process.place,
                f"web of {stage.name} trusts {trusted} proxies, and is behind"
                f" {manifest.platform.hops}",
                f"PROXY_HOPS={manifest.platform.hops}",
            )


def connections(manifest: Manifest) -> Findings:
    """All processes of a stage, web twice while a release replaces it, fit into the database."""
    allowed = manifest.platform.connections
    for stage in manifest.stages:
        if not {"web", "worker", "scheduler"} <= stage.processes.keys():
            continue
        opened = 2 * _most(stage.processes["scheduler"]) + 2  # and migrate while it runs
        webs = 2 if manifest.platform.overlaps else 1
        opened += webs * _most(stage.processes["web"]) * _of_web(stage.processes["web"])
        worker = stage.processes["worker"]
        opened += _most(worker) * (2 * (_number(worker, "worker_concurrency") or 2) + 1)
        if opened > allowed:
            yield Finding(
                "connections",
                stage.processes["web"].place,
                f"{stage.name} may open {opened} connections, its database allows {allowed}",
                "lower DATABASE_POOL_MAX, WEB_CONCURRENCY or the instances, or take a larger one",
            )


def _most(process: Process) -> int:
    return int(process.instances.value) if process.instances else 1


def _of_web(process: Process) -> int:
    most = _number(process, "database_pool_max") or 20
    return (_number(process, "web_concurrency") or 2) * (most + 1)


def python(manifest: Manifest) -> Findings:
    """The version of Python is that of the Dockerfile."""
    if manifest.python is None:
        return
    place, version = manifest.python
    file = manifest.root / "Dockerfile"
    text = file.read_text() if file.is_file() else ""
    found = re.search(r"^ARG PYTHON_IMAGE=python:(\d+\.\d+)", text, re.M)
    if found is None or version != found[1]:
        theirs = found[1] if found else "none that is known"
        yield Finding(
            "python",
            place,
            f"it is Python {version}, the Dockerfile's is {theirs}",
            "make them one; the Dockerfile has it as ARG PYTHON_IMAGE=python:…",
        )


def deprecated(manifest: Manifest) -> Findings:
    """Forms that a platform will not read for ever: a warning until their date, if it is known."""
    for place, what, until in manifest.deprecated:
        gone = until is not None and date.today() >= date.fromisoformat(until)
        when = f"read until {until}" if until else "deprecated, no date is known"
        yield Finding("deprecated", place, f"{what} ({when})", "use the new form", warns=not gone)


def _processes(manifest: Manifest) -> Iterator[tuple[Stage, Process]]:
    for stage in manifest.stages:
        for process in stage.processes.values():
            yield stage, process


def _seconds(process: Process, field: str) -> float:
    found = getattr(_settings(_written(process))[0], field)
    assert isinstance(found, timedelta)
    return found.total_seconds()


def _number(process: Process, field: str) -> int | None:
    found = getattr(_settings(_written(process))[0], field)
    assert found is None or isinstance(found, int)
    return found


def _place(process: Process, name: str) -> Place:
    given = process.variables.get(name)
    return given.place if given else process.place


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        variables,
        processes,
        references,
        release,
        health,
        port,
        migration,
        time,
        proxies,
        connections,
        python,
        deprecated,
    )
}
