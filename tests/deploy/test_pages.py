"""The pages of the targets: their commands are run as they stand there, against stand-ins."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.cli import parser
from deploy.pipeline.plan import Release, typed
from deploy.pipeline.plans import PLANS
from deploy.targets import TARGETS
from service.environment import ROOT, environment
from tests.tracked import tracked

# What must not be called from a test: clouds, their clients, and what installs or builds.
STAND_INS = (
    *("aws", "docker", "doctl", "eb", "fly", "gcloud", "heroku", "kubectl", "pipx", "railway"),
    *("make", "render", "curl", "jq"),
)
LOG = 'echo "$0 $*" >>"$CALLED"'
# Our own commands are real, but for those that ask a service; of git, what only looks here.
PYTHON = f"""#!/bin/sh
case "$*" in *" smoke "*) {LOG} ;; *) exec {sys.executable} "$@" ;; esac
"""
GIT = f"""#!/bin/sh
case " $* " in *" push "* | *" ls-remote "*) {LOG} ;; *) exec {shutil.which("git")} "$@" ;; esac
"""
# Write down how they are called; of AWS, with the answers that a release waits for.
STAND_IN = """#!/bin/sh
echo "$0 $*" >>"$CALLED"
[ -t 0 ] || cat >/dev/null
case "$*" in *describe-tasks*) echo 0 ;; *register-task* | *describe-services*) echo arn ;; esac
"""
PAGES = (
    *TARGETS,
    "docker",
    "vps",  # target: vps
)
HEADINGS = (
    "First deploy",
    "What was checked, and how",
)


def sections(target: str) -> dict[str, str]:
    """What is typed, section by section: each begins at the root."""
    text = (ROOT / "deploy" / target / "README.md").read_text()
    found = {}
    for section in text.split("\n## ")[1:]:
        if blocks := re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S):
            found[section.splitlines()[0]] = "".join(blocks)
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git tracks, as a repository of its own, with stand-ins beside it."""
    folder = tmp_path_factory.mktemp("pages")
    tracked(folder / "tree")
    for words in (
        ("init", "--quiet"),
        ("config", "user.name", "a"),
        ("config", "user.email", "a@example.com"),
        ("add", "."),
        ("commit", "--quiet", "--message", "a"),
    ):
        subprocess.run(["git", *words], cwd=folder / "tree", check=True, capture_output=True)
    binaries = folder / "tree" / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "activate").write_text("")
    for name, text in {"python": PYTHON, "git": GIT}.items():
        place = binaries if name == "python" else folder / "bin"
        place.mkdir(exist_ok=True)
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    for name in STAND_INS:
        program = folder / "bin" / name
        program.write_text(STAND_IN)
        program.chmod(0o755)
    return folder


def read_by_hand(target: str) -> dict[str, str]:
    """What the comments of the commands say is to be found, and the target's variables."""
    plan, release = PLANS[target], Release("production", "$SHA")
    commands = [*plan.look(release), *plan.before(release), *plan.back(release)]
    names = {found.name for each in commands for found in each.finds}
    return dict.fromkeys(names | {*plan.NEEDS.variables, *plan.NEEDS.secrets}, "x")


@pytest.mark.parametrize("target", PLANS)
def test_the_page_has_the_commands_that_promote_and_rollback_call(target: str) -> None:
    plan = PLANS[target]
    release = Release("production", "$SHA", "IMAGE" if plan.NEEDS.image == "must" else None)
    text = (ROOT / "deploy" / target / "README.md").read_text()
    blocks = {
        "promote": plan.promote(release),
        "rollback": [*plan.before(release), *plan.back(release)],
    }
    for name, commands in blocks.items():
        if target in TARGETS:
            assert f"<!-- {name} -->\n```sh\n{typed(commands)}\n```\n<!-- /{name} -->" in text
        else:  # our own programs, which do the rest
            assert typed(commands).replace(' "$SHA"', "") in text


@pytest.mark.parametrize("target", TARGETS)
def test_the_page_has_what_one_looks_for(target: str) -> None:
    text = (ROOT / "deploy" / target / "README.md").read_text()
    for heading in HEADINGS:
        assert f"\n## {heading}\n" in text, heading
    assert "Not confirmed: " in text
    for word in ("logs", "scale", "back", "variable", "costs and limits that bite"):
        assert word in text.lower(), word


@pytest.mark.parametrize("target", PAGES)
def test_our_own_commands_on_the_page_are_commands(target: str) -> None:
    text = (ROOT / "deploy" / target / "README.md").read_text()
    for words in re.findall(r"python -m deploy ([a-z][^`\n|<>]*)", text):
        plain = re.sub(r"\$\([^)]*\)|\$\w+|…", "x", words.partition("  #")[0])
        plain = plain.replace("https://x", "https://api.example.com").replace(" FILE", " file")
        if plain.strip() in ("check", "env", "smoke", "bundle"):  # named in a sentence
            continue
        parser().parse_args(shlex.split(plain))


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_typed_runs_to_its_end(target: str, tree: Path) -> None:
    called = tree / "called"
    for heading, lines in sections(target).items():
        called.write_text("")
        ended = subprocess.run(
            ["sh", "-euc", lines],
            cwd=tree / "tree",
            env={
                "PATH": f"{tree / 'bin'}:{environment()['PATH']}",
                "CALLED": str(called),
                **read_by_hand(target),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, (heading, ended.stderr)
        assert called.read_text(), heading
