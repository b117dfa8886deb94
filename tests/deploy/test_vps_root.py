"""All that the user deploy may do as root: which words are taken, and what they run."""

import sys
from pathlib import Path

import pytest

from deploy.vps.root import Step, main, plan, run
from service.environment import ROOT

PSQL = "runuser -u postgres -- psql -X -q -v ON_ERROR_STOP=1 -d postgres"
CTL = "systemctl --no-ask-password"
UNITS = "slipway-worker.service slipway-scheduler.service"


@pytest.mark.parametrize(
    ("words", "spelt"),
    [
        (
            "start blue",
            [
                f"{CTL} reset-failed slipway-web@blue.service",
                f"{CTL} start slipway-web@blue.socket",
                f"{CTL} start slipway-web@blue.service",
            ],
        ),
        ("stop green", [f"{CTL} stop slipway-web@green.socket slipway-web@green.service"]),
        ("migrate green", [f"{CTL} start slipway-migrate@green.service"]),
        ("workers restart", [f"{CTL} reset-failed {UNITS}", f"{CTL} restart {UNITS}"]),
        ("workers start", [f"{CTL} reset-failed {UNITS}", f"{CTL} start {UNITS}"]),
        ("workers stop", [f"{CTL} stop {UNITS}"]),
        (
            "boot",
            [
                f"{CTL} start slipway-web@green.socket",
                f"{CTL} start --no-block slipway-web@green.service",
            ],
        ),
        (
            "database create slipway_scratch_1",
            [
                "runuser -u postgres -- createdb --owner slipway --encoding UTF8 --locale C.UTF-8"
                " --template template0 slipway_scratch_1",
                PSQL,
            ],
        ),
        (
            "database drop slipway_scratch_1",
            ["runuser -u postgres -- dropdb --if-exists --force slipway_scratch_1"],
        ),
        ("database swap slipway_new slipway_old", [PSQL, PSQL, PSQL]),
    ],
)
def test_each_verb_is_these_commands(words: str, spelt: list[str]) -> None:
    steps = plan(words.split(), green=True, there=True)
    assert steps is not None
    assert [" ".join(step.command) for step in steps] == spelt


@pytest.mark.parametrize(
    "words",
    [
        *([], ["start"], ["start", "red"], ["start", "blue", "green"], ["start", "blue.service"]),
        *(["stop", "--all"], ["migrate", ""], ["workers"], ["workers", "kill"], ["boot", "now"]),
        *(["restart", "blue"], ["--help"], ["sh"], ["start", "blue\n"], ["BOOT"]),
        *(["database"], ["database", "create"], ["database", "drop", "slipway"]),
        *(["database", "drop", "postgres"], ["database", "drop", "slipway_"]),
        *(["database", "drop", "slipway_x;y"], ["database", "drop", "slipway_X"]),
        *(["database", "drop", "slipway_x\n"], ["database", "drop", "-slipway_x"]),
        *(["database", "create", "slipway_é"], ["database", "create", "slipway_" + "x" * 60]),
        *(["database", "swap", "slipway_x"], ["database", "swap", "slipway_x", "slipway_x"]),
        *(["database", "swap", "slipway", "slipway_old"], ["database", "swap", "slipway_x", "y"]),
    ],
)
def test_anything_else_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(words, green=False, there=True) is None
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("usage: slipway-root")


def test_a_boot_before_the_first_release_starts_nothing() -> None:
    assert plan(["boot"], green=False, there=False) == []


def test_a_swap_is_one_transaction_and_opens_the_database_whatever_happens() -> None:
    steps = plan(["database", "swap", "slipway_new", "slipway_old"], green=False, there=True)
    assert steps is not None
    closed, renamed, opened = steps
    assert closed.given.splitlines() == [
        "SELECT 'ALTER DATABASE slipway ALLOW_CONNECTIONS false'"
        " FROM pg_database WHERE datname = 'slipway' \\gexec",
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname IN ('slipway', 'slipway_new');",
    ]
    assert renamed.given.splitlines() == [
        "BEGIN;",
        "SELECT 'ALTER DATABASE slipway RENAME TO slipway_old'"
        " FROM pg_database WHERE datname = 'slipway' \\gexec",
        "ALTER DATABASE slipway_new RENAME TO slipway;",
        "COMMIT;",
    ]
    assert "ALLOW_CONNECTIONS true" in opened.given
    assert [step.always for step in steps] == [False, False, True]


def test_a_scratch_database_is_made_as_the_live_one_is() -> None:
    """It may take its place, so that role.sql and this are to agree."""
    steps = plan(["database", "create", "slipway_new"], green=False, there=True)
    assert steps is not None
    made, closed = steps
    live = (ROOT / "deploy/vps/provision/role.sql").read_text()
    words = made.command
    assert f"LOCALE ''{words[words.index('--locale') + 1]}''" in live
    assert "REVOKE ALL ON DATABASE slipway FROM PUBLIC;" in live
    assert closed.given == "REVOKE ALL ON DATABASE slipway_new FROM PUBLIC;\n"


def test_provision_opens_what_a_swap_that_was_cut_off_has_closed() -> None:
    steps = plan(["database", "swap", "slipway_new", "slipway_old"], green=False, there=True)
    assert steps is not None
    assert "ALTER DATABASE slipway ALLOW_CONNECTIONS false" in steps[0].given
    live = (ROOT / "deploy/vps/provision/role.sql").read_text()
    assert "\nALTER DATABASE slipway ALLOW_CONNECTIONS true;\n" in live


def python(text: str, **more: bool) -> Step:
    return Step([sys.executable, "-c", text], **more)


def test_the_first_failure_ends_it_but_for_what_is_always_done(tmp_path: Path) -> None:
    fails, works = python("raise SystemExit(3)"), python("")
    assert run([works, works]) == 0
    assert run([fails, python("raise SystemExit(4)")]) == 3
    writes = f"open({str(tmp_path / 'done')!r}, 'w'); raise SystemExit(4)"
    assert run([fails, python(writes)]) == 3
    assert not (tmp_path / "done").exists()
    assert run([fails, python(writes, always=True)]) == 3
    assert (tmp_path / "done").exists()
    assert run([python("raise SystemExit(5)", may_fail=True), works]) == 0


def test_nothing_of_our_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD_OR_SO", "evil")
    looks = "import os, sys; sys.exit('LD_PRELOAD_OR_SO' in os.environ or os.getcwd() != '/')"
    assert run([python(looks)]) == 0
