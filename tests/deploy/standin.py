"""A stand-in of ssh: writes down what is asked of which server, and answers as it was told."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from deploy.__main__ import main
from service.environment import ROOT

PROGRAM = """\
#!{python}
import json, shlex, sys
from pathlib import Path

here = Path({folder!r})
sys.path.insert(0, {root!r})
words = sys.argv[1:]
if "-O" in words:
    sys.exit(0)
name = words[-2].partition("@")[2]
verb = shlex.split(words[-1])[1:]
given = sys.stdin.read() if verb[:2] == ["env", "set"] else ""
with (here / "log").open("a") as log:
    log.write(json.dumps([name, verb, given]) + "\\n")
if verb[0] == "hold" and name in (here / "lost").read_text().split():
    print("ssh: connect to host: Connection timed out", file=sys.stderr)
    sys.exit(255)
if verb[0] == "hold":
    held = [v for _, v, _ in map(json.loads, open(here / "log")) if v[0] == "hold"]
    print("held token-%d" % len(held), flush=True)
    sys.stdin.read()
    sys.exit(0)
from deploy.vps.host.cli import parser

parser().parse_args(verb)  # what the server does not know ends here, with 2
answers = json.loads((here / "answers").read_text())
asked = ["{{}}: {{}}".format(n, " ".join(v)) for n, v, _ in map(json.loads, open(here / "log"))]
for known, verbs, code, out, err, after in answers:
    if not any(line.startswith(after) for line in asked):
        continue
    if known in (name, "*") and verb[: len(verbs)] == verbs:
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
sys.exit("the stand-in knows no answer to " + " ".join(verb))
"""


class Servers:
    """Servers that answer by a table."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        self._answers: list[list[Any]] = []
        program = folder / "ssh"
        program.write_text(PROGRAM.format(python=python, folder=str(folder), root=str(ROOT)))
        program.chmod(0o755)
        (folder / "log").write_text("")
        (folder / "lost").write_text("")
        self._write()

    def answer(
        self, server: str, *words: str, out: object = "", code: int = 0, err: str = ""
    ) -> None:
        """To a verb with these first words; what is said last goes first."""
        self.answer_after("", server, *words, out=out, code=code, err=err)

    def answer_after(
        self,
        asked: str,
        server: str,
        *words: str,
        out: object = "",
        code: int = 0,
        err: str = "",
    ) -> None:
        """The same, once a server was asked for something, "web1: turn"."""
        text = out if isinstance(out, str) else json.dumps(out) + "\n"
        self._answers.insert(0, [server, list(words), code, text, err, asked])
        self._write()

    def lose(self, server: str) -> None:
        """It cannot be reached any more."""
        with (self.folder / "lost").open("a") as lost:
            lost.write(f"{server}\n")

    def asked(self, leave_out: Iterable[str] = ("hold", "status")) -> list[str]:
        """What each server was asked for, in order, without tokens and who."""
        return [
            f"{name}: {' '.join(_plain(words))}"
            for name, words, _ in self.log()
            if words[0] not in leave_out
        ]

    def given(self, verb: str) -> dict[str, str]:
        """What each server had on its standard input."""
        return {name: text for name, words, text in self.log() if words[0] == verb}

    def log(self) -> list[tuple[str, list[str], str]]:
        return [tuple(json.loads(line)) for line in (self.folder / "log").read_text().splitlines()]

    def _write(self) -> None:
        (self.folder / "answers").write_text(json.dumps(self._answers))


def _plain(words: list[str]) -> list[str]:
    found, options = [], iter(words)
    for word in options:
        if word in ("--token", "--who", "--at"):
            next(options)
        elif word not in ("--json", "--attended"):
            found.append(word)
    return found


HEALTHY: Mapping[str, Any] = {
    "roles": ["web", "worker"],
    "release": "20261126T120000Z-0123456789ab",
    "colour": "green",
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "age": 7200,
    "health": "healthy",
    "units": {"web@blue": "inactive", "web@green": "active", "worker": "active"},
    "queue": 3,
    "disk": {"free": 6 << 30, "total": 10 << 30},
    "backup_age": 18000,
    "certificate_days": 60,
    "maintenance": False,
    "out": [],
    "locked": None,
    "running": None,
    "history": ["20261126T110000Z-000000000001", "20261126T120000Z-0123456789ab"],
}

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI0000000000000000000000000000000000000000000 you"
HEAD = f'domain = "api.example.com"\ntls = "none"\nkeys = ["{KEY}"]\nrepository = "/srv/code.git"\n'
ONE = HEAD + '[servers.one]\naddress = "one"\nroles = ["web", "worker", "database", "redis"]\n'
THREE = HEAD + "".join(
    f'[servers.{name}]\naddress = "{name}"\nprivate = "10.0.0.{number}"\nroles = {roles}\n'
    for number, (name, roles) in enumerate(
        {
            "front": '["balancer", "database", "redis"]',
            "web1": '["web", "worker"]',
            "web2": '["web", "worker"]',
        }.items()
    )
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
RELEASE = HEALTHY["release"]
NEW = "20261126T130000Z-0123456789ab"


def vps(folder: Path, text: str, *words: str) -> int:
    (folder / "servers.toml").write_text(text)
    return main(["vps", "--servers", str(folder / "servers.toml"), *words])
