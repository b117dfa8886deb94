"""`python -m deploy env TARGET`: what must be set by hand there, as the commands of its own tools.

Secrets are made at random and go to a file that only its owner may read: not to the terminal, the
shell's history or a process list; but Heroku's `config:set` takes arguments only, so that they are
in the process list of this machine while it runs. Add a target: a function that spells its
commands, in SPELT.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from deploy.manifest import Variable
from deploy.shell import Failed, say
from deploy.targets import TARGETS
from service.environment import variable
from service.settings import Settings

PLACEHOLDER = "change-me"  # refused by the service in production, so that nobody forgets it
# What nobody can make up.
YOURS = {
    "DATABASE_URL": f"postgresql://service:{PLACEHOLDER}@HOST:5432/service",
    "REDIS_URL": f"redis://:{PLACEHOLDER}@HOST:6379/0",
}
FRESH = ("JWT_SECRET", "SMOKE_TOKEN")
REQUIRED = [variable(n, f) for n, f in Settings.model_fields.items() if f.is_required()]


@dataclass(frozen=True)
class Values:
    """What is to be set, and how a command gets at it: out of a file, or written out."""

    stage: str
    given: Mapping[str, str]
    file: Path | None

    @property
    def app(self) -> str:
        return "slipway" if self.stage == "production" else f"slipway-{self.stage}"

    def printed(self, name: str) -> str:
        """A command that prints a value, without an end of line."""
        if self.file is None:
            return f"printf %s {quote(self.given[name])}"
        return f"sed -n 's/^{name}=//p' {quote(str(self.file))} | tr -d '\\n'"

    def words(self, option: str = "") -> str:
        return " ".join(option + quote(f"{name}={value}") for name, value in self.given.items())


# target: cloudrun
def _cloudrun(values: Values) -> list[str]:
    prefix = f"slipway-{values.stage}"
    return [
        f"{values.printed(name)} |"
        f" gcloud secrets create {prefix}-{name.lower().replace('_', '-')} --data-file=-"
        for name in values.given
    ]


# end of target: cloudrun
# target: digitalocean
def _digitalocean(values: Values) -> list[str]:
    spec = (
        ".do/app.yaml" if values.stage == "production" else "deploy/digitalocean/app.staging.yaml"
    )
    # sed's program comes on its standard input: its arguments are in the process list.
    edits = " ".join(
        f'printf \'s|key: {name}, type: SECRET|&, value: "%s"|\\n\' "$({values.printed(name)})";'
        for name in values.given
    )
    return [f"{{ {edits} }} | sed -f /dev/stdin {spec} | doctl apps create --spec -"]


# end of target: digitalocean
def _docker(values: Values) -> list[str]:
    """Of Swarm. A host with Compose has files: deploy/docker/README.md makes them."""
    return [
        f"{values.printed(name)} | docker secret create {values.app}_{name.lower()} -"
        f"    # {name}_FILE=/run/secrets/{values.app}_{name.lower()}"
        for name in values.given
    ]


def _dotenv(values: Values) -> list[str]:
    if values.file is None:
        return [f"echo {quote(f'{name}={value}')} >>.env" for name, value in values.given.items()]
    return [f"mv -n {quote(str(values.file))} .env"]  # never over one that is there


# target: ecs
def _ecs(values: Values) -> list[str]:
    return [
        f"{_as_json(values)} | aws secretsmanager create-secret"
        f" --name slipway/{values.stage} --secret-string file:///dev/stdin"
    ]


# end of target: ecs
# target: elasticbeanstalk
def _elasticbeanstalk(values: Values) -> list[str]:
    return [
        f"{values.printed(name)} | aws ssm put-parameter --type SecureString"
        f" --name /slipway/{values.stage}/{name} --value file:///dev/stdin"
        for name in values.given
    ]


# end of target: elasticbeanstalk
# target: fly
def _fly(values: Values) -> list[str]:
    if values.file is None:
        return [f"fly secrets set --app {values.app} --stage {values.words()}"]
    return [f"fly secrets import --app {values.app} --stage <{quote(str(values.file))}"]


# end of target: fly
# target: heroku
def _heroku(values: Values) -> list[str]:
    command = f"heroku config:set --app {values.app}"  # prints what it has set
    if values.file is None:
        return [f"{command} {values.words()} >/dev/null"]
    # A line is one argument, with spaces and quotes: xargs alone would take it apart.
    return [f"tr '\\n' '\\0' <{quote(str(values.file))} | xargs -0 {command} >/dev/null"]


# end of target: heroku
# target: kubernetes
def _kubernetes(values: Values) -> list[str]:
    command = f"kubectl --namespace {values.app} create secret generic slipway"
    if values.file is None:
        return [f"{command} {values.words('--from-literal=')}"]
    return [f"{command} --from-env-file={quote(str(values.file))}"]


# end of target: kubernetes
# target: railway
def _railway(values: Values) -> list[str]:
    shared = _as_json(values, '{"value":"%s"}', ('{"sharedVariables":', "}"))
    return [
        f"railway environment {values.stage}",
        f"{shared} | railway environment edit --json",
    ]


# end of target: railway
# target: ecs, railway
def _as_json(values: Values, each: str = '"%s"', around: tuple[str, str] = ("", "")) -> str:
    """A command that prints the values as an object of JSON."""
    inner = ",".join(f'"{name}":{each}' for name in values.given)
    words = " ".join(f'"$({values.printed(name)})"' for name in values.given)
    return f"printf {quote(around[0] + '{' + inner + '}' + around[1])} {words}"


# end of target: ecs, railway
# target: render
def _render(values: Values) -> list[str]:
    """Its own tool sets no variables: the commands print what is put into the dashboard."""
    return [
        f"{values.printed(name)}    # {name}: the dashboard, {values.stage}, Environment"
        for name in values.given
    ]


# end of target: render
Speller = Callable[[Values], list[str]]
SPELT: dict[str, Speller] = {
    "cloudrun": _cloudrun,  # target: cloudrun
    "digitalocean": _digitalocean,  # target: digitalocean
    "docker": _docker,
    "dotenv": _dotenv,
    "ecs": _ecs,  # target: ecs
    "elasticbeanstalk": _elasticbeanstalk,  # target: elasticbeanstalk
    "fly": _fly,  # target: fly
    "heroku": _heroku,  # target: heroku
    "kubernetes": _kubernetes,  # target: kubernetes
    "railway": _railway,  # target: railway
    "render": _render,  # target: render
}


def run(root: Path, target: str, stage: str, file: Path | None) -> int:
    """Write the file, if one is wanted, and print the commands. Raises Failed."""
    given: Mapping[str, str] = needed(root, target, stage)
    if not given:
        say(f"{target}: nothing is set by hand; its manifest makes or refers to all that is needed")
        return 0
    if file is not None:
        given = write(file, given)
        say(f"# {file} (mode 0600) has {', '.join(given)}. Remove it when you are done.")
    if yours := [name for name, value in given.items() if PLACEHOLDER in value]:
        say(f"# Yours to put in first: {', '.join(yours)}.")
    for line in SPELT[target](Values(stage, given, file)):
        say(line)
    return 0


def needed(root: Path, target: str, stage: str) -> dict[str, str]:
    """What is set by hand for all processes of a stage, with values. Raises Failed."""
    if target not in TARGETS:
        names = [*REQUIRED, "SMOKE_TOKEN"]
        return {"APP_ENV": stage} | {name: _value(name, None) for name in names}
    found: dict[str, Variable] = {}
    for each in TARGETS[target](root).stages:
        if each.name == stage:
            for process in each.processes.values():
                found |= {v.name: v for v in process.variables.values() if v.by_hand}
    return {name: _value(name, each.value) for name, each in found.items()}


def _value(name: str, written: str | None) -> str:
    if written is not None:
        return written
    return secrets.token_hex(32) if name in FRESH else YOURS.get(name, PLACEHOLDER)


def write(file: Path, given: Mapping[str, str]) -> Mapping[str, str]:
    """What the file has: these, or what it had before, which may be in use. Raises Failed."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _kept(file, given)
    except OSError as error:
        raise Failed(f"{file} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as out:
        out.writelines(f"{name}={value}\n" for name, value in given.items())
    return given


def _kept(file: Path, given: Mapping[str, str]) -> Mapping[str, str]:
    lines = [line.partition("=") for line in file.read_text().splitlines() if "=" in line]
    found = {name: value for name, _, value in lines}
    if missing := [name for name in given if not found.get(name)]:
        raise Failed(f"{file} is there already, without {', '.join(missing)}: --file names another")
    say(f"# {file} is there already: its values are kept.")
    return {name: found[name] for name in given}
