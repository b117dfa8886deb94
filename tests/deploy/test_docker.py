"""How a release on a Docker host is spelt; tests/deploy/docker runs it."""

import re
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.cli import parser
from deploy.docker.edge import Configuration, parse
from deploy.docker.host import find_image, states
from deploy.docker.stack import NGINX_IMAGE, Image, Stack, other, servers_conf
from deploy.shell import CommandFailed, Failed, run
from service.environment import ROOT

STACK = Stack("shop")
HELD = Stack("shop", hand="1a2b3c4d5e6f")
COMPOSE = (
    f"docker compose --ansi never --progress plain --project-name shop --file {ROOT}/compose.yaml"
    f" --file {ROOT}/compose.production.yaml"
)


@pytest.mark.parametrize(
    ("command", "spelt"),
    [
        (STACK.migrate(), f"{COMPOSE} run --rm --no-deps --no-TTY migrate"),
        (
            STACK.start("green", 3),
            f"{COMPOSE} up --detach --no-build --no-deps --scale web-green=3 web-green",
        ),
        (
            STACK.stateful(),
            f"{COMPOSE} up --detach --no-recreate --wait postgres redis",
        ),
        (STACK.stop("blue"), f"{COMPOSE} stop web-blue"),
        (HELD.in_lock("ls", "/edge"), "docker exec --interactive 1a2b3c4d5e6f ls /edge"),
        (
            STACK.containers("nginx", running=True),
            "docker ps --quiet --no-trunc --filter=status=running"
            " --filter=label=com.docker.compose.project=shop"
            " --filter=label=com.docker.compose.service=nginx"
            " --filter=label=com.docker.compose.oneoff=False",
        ),
    ],
)
def test_each_step_is_a_command_of_docker(command: list[str], spelt: str) -> None:
    assert " ".join(command) == spelt


def test_the_images_of_the_colours_are_given_by_the_environment() -> None:
    image = Image("shop:2", "sha256:abc", "1a2b3c4")
    given = STACK.environment({"green": image, "rest": image})
    assert (given["GREEN_IMAGE"], given["GREEN_NAME"]) == ("sha256:abc", "shop:2")
    assert given["IMAGE"] == "sha256:abc"
    assert "BLUE_IMAGE" not in given


def test_what_the_tool_knows_is_what_the_files_say() -> None:
    compose = (ROOT / "compose.yaml").read_text()
    assert f"image: {NGINX_IMAGE}" in compose
    assert f"name: {Stack().project}" in compose
    for name in ("blue", "green"):
        assert f"web-{name}:" in (ROOT / "compose.production.yaml").read_text()


def test_there_are_two_colours() -> None:
    assert (other("blue"), other("green")) == ("green", "blue")
    assert "server web-green:8000 resolve" in servers_conf("green")


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(CommandFailed, match=r"ended with 3:\n  out\n  err"):
        run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    with pytest.raises(Failed, match="no-such-program is not installed here"):
        run(["no-such-program"])
    with pytest.raises(Failed, match=r"sleep 5 took longer than 0 s"):
        run(["sleep", "5"], timeout=0.1)
    assert run(["cat"], given=b"given") == "given"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, with a file of variables."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "production.env").touch()
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "production.env"))
    return tmp_path


def stand_in(path: Path, script: str) -> None:
    (path / "docker").write_text(f"#!/bin/sh\n{script}\n")
    (path / "docker").chmod(0o755)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "no Docker engine answers"),
        ('[ "$1" = version ] && echo 27.0.1', "docker compose is not installed"),
        ("echo 24.0.7", "the Docker engine is 24.0.7; 25 or newer is needed"),
        (
            '[ "$1" = version ] && echo 27.0.1 || echo 2.20.3',
            "docker compose is 2.20.3; 2.25 or newer is needed",
        ),
        (
            'case "$*" in *inspect*shop:1|pull*)'
            " echo 'write /var/lib/docker/x: no space left on device' >&2; exit 1;;"
            " *) echo 27.0.1;; esac",
            "The host's disk is full: docker system df",
        ),
        (
            'case "$*" in *shop:1) echo denied >&2; exit 1;; *) echo 27.0.1;; esac',
            "the image shop:1 is neither here nor can it be pulled: denied",
        ),
        (
            'case "$*" in *Architecture*) echo arm64 id;; *Server.Arch*) echo amd64;;'
            " *) echo 27.0.1;; esac",
            "shop:1 is for arm64, the host is amd64: docker build --platform",
        ),
    ],
)
def test_what_is_missing_is_said_before_anything_is_done(
    path: Path, capsys: pytest.CaptureFixture[str], script: str, why: str
) -> None:
    stand_in(path, script)
    assert main(["docker", "release", "shop:1"]) == 1
    assert why in capsys.readouterr().err


def test_a_container_that_goes_while_it_is_looked_at_is_not_missed(path: Path) -> None:
    """As a release removes some while somebody asks for the status."""
    gone = path / "gone"
    script = f"[ -e {gone} ] || {{ : >{gone}; echo 'No such object: 1a2b' >&2; exit 1; }}"
    stand_in(path, f"[ $1 = ps ] && echo 1a2b && exit\n{script}\necho running/healthy/0")
    assert states(STACK, "worker") == ["running/healthy/0"]
    assert gone.exists()


def test_who_cannot_be_looked_at_at_all_is_said(path: Path) -> None:
    stand_in(path, "[ $1 = ps ] && echo 1a2b && exit\necho 'permission denied' >&2; exit 1")
    with pytest.raises(CommandFailed, match="permission denied"):
        states(STACK, "worker")


def test_an_env_file_that_is_not_there_is_no_empty_one(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(path, "echo 27.0.1")
    monkeypatch.setenv("ENV_FILE", "/no/production.env")
    assert main(["docker", "release", "shop:1"]) == 1
    assert "/no/production.env is not there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "pulled"),
    [
        ("shop", False),
        ("shop:1", False),
        ("team/shop:1", False),
        ("localhost/shop:1", True),
        ("localhost:5000/shop", True),
        ("registry.example.com/team/shop:1", True),
    ],
)
def test_an_image_of_a_registry_is_pulled_though_it_is_here(
    path: Path, capsys: pytest.CaptureFixture[str], name: str, pulled: bool
) -> None:
    stand_in(
        path,
        'case "$*" in *Architecture*) echo amd64 sha256:abc;; *Arch*) echo amd64;;'
        """ *.Env*) echo '["A=1", "COMMIT_SHA=1a2b3c4"]';; pull*) exit 1;; esac""",
    )
    assert find_image(name) == Image(name, "sha256:abc", "1a2b3c4")
    said = capsys.readouterr().out
    assert (f"→ pull {name}" in said) == pulled
    assert ("the host's own is taken" in said) == pulled


@pytest.mark.parametrize(
    ("servers", "colour", "turning"),
    [
        (servers_conf("blue"), "blue", False),
        (servers_conf("green", "blue"), "green", True),
        (servers_conf("blue", "green"), "blue", True),
    ],
)
def test_nginx_s_own_file_says_what_serves(servers: str, colour: str, turning: bool) -> None:
    assert parse(f"20261126-x\n{servers}") == Configuration("20261126-x", colour, turning)


def test_only_a_file_that_is_not_there_means_that_nothing_serves() -> None:
    assert parse("\n") is None
    with pytest.raises(Failed, match="names no colour"):
        parse("20261126-x\nupstream web {}")


def test_without_docker_a_line_says_so(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docker", "status"]) == 1
    assert capsys.readouterr().err == "failed: docker is not installed here, or not in PATH\n"


@pytest.mark.parametrize(
    "wrong", [[], ["docker"], ["docker", "release"], ["docker", "release", "a", "--replicas", "0"]]
)
def test_wrong_usage_is_said(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(wrong)
    assert re.search("required|is needed", capsys.readouterr().err)
