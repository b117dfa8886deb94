"""The README's commands, as a newcomer would type them."""

import os
import re
import subprocess
from pathlib import Path

from service.environment import ROOT
from tests.children import Logs, surroundings
from tests.serving import Served

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [line for page in PAGES for block in blocks(page) for line in block.splitlines()]
    return [line.split("#")[0].strip() for line in lines]


def test_every_make_target_that_is_named_is_there() -> None:
    text = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"(?:`|^)(?:PORT=\d+ )?make ([a-z-]+)", text, re.MULTILINE))
    assert named and named <= TARGETS


def test_every_command_of_the_service_runs(served: Served) -> None:
    mine = [each for each in commands() if each.startswith("python -m service")]
    assert len(mine) >= 4
    for command in mine:
        name = command.split()[3]
        if name == "web":
            assert served.command == ["-m", "service", "web"]  # it runs, as all other tests see
            continue
        if name in ("worker", "scheduler"):
            with Logs(command.split()[1:], served.environment, f"{name} started"):
                continue
        ended = run(command, served)
        assert ended.returncode == 0, (command, ended.stdout, ended.stderr)


def test_the_api_answers_by_hand_as_the_readme_says(served: Served) -> None:
    script = "".join(block for page in PAGES for block in blocks(page) if "curl" in block)
    ended = run("set -e\n" + script.replace("localhost:8000", f"localhost:{served.port}"), served)
    assert ended.returncode == 0, ended.stderr
    assert '"email":"you@example.com"' in ended.stdout
    # sample
    for part in ('"next_cursor"', '"title":"Hello"'):
        assert part in ended.stdout
    # end of sample
    assert '"status":4' not in ended.stdout


def run(script: str, served: Served) -> "subprocess.CompletedProcess[str]":
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    env = surroundings() | served.environment | {"PATH": path, "PORT": str(served.port)}
    return subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
