"""`deploy lint-migrations`: what holds up or breaks what serves is refused, unless it says why."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.migrations import advice, revisions, rules, squawk
from deploy.migrations.lint import Refused, run
from deploy.shell import Failed
from tests.deploy.migrations.operations import BREAKING, FREE, HOLDING, OLD_ROWS
from tests.deploy.migrations.revision import FIRST_LINE, HEAD, refused, write


def rules_of(found: list[Refused]) -> set[str]:
    return {each.rule for each in found}


@pytest.mark.parametrize(("body", "rule"), BREAKING)
def test_what_breaks_the_release_before_is_refused_unless_it_says_why(
    root: Path, body: str, rule: str
) -> None:
    (found,) = (each for each in refused(root, body) if each.rule == rule)
    assert str(found.place) == f"migrations/versions/1.py:{FIRST_LINE}"
    assert found.statement
    assert found.todo.endswith("If that is done: # contract: REASON")
    assert rule not in rules_of(refused(root, f"# contract: no code asks for it\n{body}"))
    assert rule in rules_of(refused(root, f"# contract:\n{body}"))


@pytest.mark.parametrize(("body", "rule"), HOLDING)
def test_what_holds_up_others_or_is_not_seen_is_refused_rule_by_rule(
    root: Path, body: str, rule: str
) -> None:
    found = next(each for each in refused(root, body) if each.rule == rule)
    assert str(found.place) == f"migrations/versions/1.py:{FIRST_LINE}"
    assert f"# lint allows {rule}: REASON" in found.todo
    for word in ("lint", "squawk"):
        assert rule not in rules_of(refused(root, f"# {word} allows {rule}: it is small\n{body}"))
    assert rule in rules_of(refused(root, f"# contract: it is small\n{body}"))


@pytest.mark.parametrize("body", FREE)
def test_what_a_release_may_run_is_not_refused(root: Path, body: str) -> None:
    assert refused(root, body) == []


@pytest.mark.parametrize("body", OLD_ROWS)
def test_a_new_column_does_not_excuse_what_binds_old_rows_too(root: Path, body: str) -> None:
    assert rules_of(refused(root, body)) == {"ban-new-write-restriction"}


def test_a_finding_points_at_the_line_that_asks_for_the_statement(root: Path) -> None:
    body = 'op.add_column("users", sa.Column("ß", sa.Text()))\nop.drop_table("users")'
    (found,) = refused(root, body)
    assert (found.place.line, found.statement) == (FIRST_LINE + 1, "DROP TABLE users")


@pytest.mark.parametrize(
    ("word", "rule"),
    [
        ("# contract:", "no-reason"),
        ("# lint allows ban-drop-table: ", "no-reason"),
        ("# lint allows ban-drop-tables: they are gone", "no-such-finding"),
        ("# lint allows ban-drop-table: it is gone", "no-such-finding"),
    ],
)
def test_a_word_without_a_reason_or_a_use_is_refused(root: Path, word: str, rule: str) -> None:
    (found,) = refused(root, f"{word}\npass")
    assert (found.rule, found.place.line) == (rule, FIRST_LINE)


def test_every_rule_of_ours_has_a_case_and_an_advice() -> None:
    seen = {rule for _, rule in (*BREAKING, *HOLDING)}
    assert {rule for rule, *_ in rules.OURS} <= seen
    assert seen <= set(advice.BREAKS) | set(advice.INSTEAD)
    assert not set(advice.BREAKS) & set(advice.INSTEAD)


def test_squawk_has_the_rules_that_are_named(root: Path) -> None:
    known = {*advice.BREAKS, *advice.INSTEAD} - {rule for rule, *_ in rules.OURS}
    ours = {"changed-revision", "needs-a-database", "squawk-comment", "syntax-error"}
    named = ",".join((known - ours) | {*squawk.NO_SQUAWK, *squawk.ALSO_SQUAWK})
    words = [*squawk.command()[:-2], f"--include={named}"]
    assert subprocess.run(words, input=b"SELECT 1;", capture_output=True).stderr == b""


def test_a_configuration_of_squawk_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / ".squawk.toml").write_text("no TOML")
    monkeypatch.chdir(root)
    assert rules_of(refused(root, 'op.drop_table("users")')) == {"ban-drop-table"}


def test_findings_are_printed_for_people_and_for_machines(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, "pass", "1")
    write(root, 'op.drop_table("users")', "2", "1")
    assert run(root, None, as_json=False) == 1
    printed = capsys.readouterr().out
    assert printed.startswith(f"migrations/versions/2.py:{FIRST_LINE}: ban-drop-table: ")
    assert "\n    DROP TABLE users\n    instead: release code " in printed
    assert "1 refused; 2 of 2 revisions looked at\n" in printed
    assert run(root, None, as_json=True) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["file"], found["line"]) == ("migrations/versions/2.py", FIRST_LINE)
    assert (found["rule"], found["statement"]) == ("ban-drop-table", "DROP TABLE users")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def upgrade(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        (HEAD.format(revision="2", down="'gone'") + "    pass\n", "gone"),
        (HEAD.format(revision="1", down="None") + "    pass\n", "present more than once"),
    ],
)
def test_revisions_that_cannot_be_read_are_one_line(root: Path, source: str, said: str) -> None:
    write(root, "pass")
    (root / "migrations" / "versions" / "other.py").write_text(source)
    with pytest.raises(Failed, match=f"^migrations/versions cannot be read: .*{said}") as failure:
        revisions.read(root)
    assert "\n" not in str(failure.value)


def git(root: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", "-C", str(root), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def history(root: Path) -> Path:
    """In a folder of a repository; its first revision was released as v1."""
    git(root.parent, "init", "--quiet")
    write(root, 'op.drop_table("users")')
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "1")
    git(root, "tag", "v1")
    return root


def looked_at(root: Path, since: str, capsys: pytest.CaptureFixture[str]) -> tuple[set[str], str]:
    run(root, since, as_json=False)
    printed = capsys.readouterr().out
    return set(re.findall(r"^\S+/(\d)\.py:\d+: ([\w-]+)", printed, re.M)), printed


def test_only_revisions_since_a_commit_are_looked_at(
    history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nothing refused; 0 of 1 revisions" in looked_at(history, "v1", capsys)[1]
    write(history, 'op.drop_table("posts")', "2", "1")
    git(history, "add", ".")
    git(history, "commit", "--quiet", "--message", "2")
    write(history, 'op.drop_table("jobs")', "3", "2")  # in no commit yet
    found, _ = looked_at(history, "v1", capsys)
    assert found == {("2", "ban-drop-table"), ("3", "ban-drop-table")}


def test_a_revision_that_a_release_has_run_does_not_change(
    history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = history / "migrations" / "versions" / "1.py"
    path.write_text(path.read_text().replace("A change.", "Users go.\n\n# contract: they went"))
    assert "nothing refused; 1 of 1" in looked_at(history, "v1", capsys)[1]
    write(history, "pass")
    assert looked_at(history, "v1", capsys)[0] == {("1", "changed-revision")}
    write(history, "# lint allows changed-revision: no database has run it\npass")
    assert looked_at(history, "v1", capsys)[0] == set()


@pytest.mark.parametrize("commit", ["v2", "--all", "v1:pyproject.toml"])
def test_a_commit_that_is_none_is_one_line(history: Path, commit: str) -> None:
    with pytest.raises(Failed, match=f"^{re.escape(repr(commit))} is no commit here. Of a shallow"):
        run(history, commit, as_json=False)


def test_a_folder_without_git_knows_no_commit(root: Path) -> None:
    with pytest.raises(Failed, match=r"not in a git repository: --all looks at everything$"):
        run(root, "v1", as_json=False)


def test_the_revisions_that_lie_here_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint-migrations", "--all"]) == 0
    assert main(["lint-migrations", "--since", "no-such-commit"]) == 1
    assert capsys.readouterr().err.startswith("failed: 'no-such-commit' is no commit here")
    with pytest.raises(SystemExit, match="2"):
        main(["lint-migrations", "--all", "--since", "HEAD"])
