"""Of operation: back-ups, the way back, and who is told."""

from typing import Any

from deploy.history import entries
from deploy.pipeline import audit
from deploy.readiness.answers import Answer, by_hand, failed, passed
from deploy.readiness.subject import Subject
from deploy.vps.table import OLDEST_BACKUP


def backups(subject: Subject) -> Answer:
    """The database is backed up, and the newest back-up is of today."""
    if subject.target != "vps":
        return by_hand("whoever has the database has them", subject.looks.backups)
    if subject.fleet.database is None:
        return by_hand("DATABASE_URL is somebody else's", "look at what has the database")
    age = subject.statuses[subject.fleet.database.name].get("backup_age")
    if age is None:
        return failed("there is none", "python -m deploy vps backup")
    if age > OLDEST_BACKUP:
        return failed(f"the newest is {age / 3600:.0f} h old", "python -m deploy vps logs backup")
    where = subject.fleet.backups.copy_to
    if where is None:
        return by_hand(
            f"the newest is {age / 3600:.0f} h old, and lies on the server that has the database",
            "have them copied elsewhere: backups.copy_to in servers.toml",
        )
    return passed(f"the newest is {age / 3600:.0f} h old, and copied to {where}")


def restore(subject: Subject) -> Answer:
    """A back-up was restored once: until then it is a hope."""
    if subject.target != "vps" or subject.fleet.database is None:
        return by_hand("nobody sees it from here", "restore one into a second database, and look")
    tried = _tried(subject, "restore-test")
    if not tried:
        return failed("no restore was tried", "python -m deploy vps restore-test")
    return passed(f"tried at {max(tried)}")


def rollback(subject: Subject) -> Answer:
    """The way back was walked once, and there is something to go back to."""
    if gone_back := _logged(subject):
        return passed(f"tried at {gone_back[-1]}")
    if subject.target != "vps":
        return by_hand("nobody sees it from here", f"go back once; {subject.looks.rollback}")
    if any(len(one.get("kept", one["history"])) < 2 for one in _with_code(subject)):
        return failed("there is one release only", "python -m deploy vps release, a second time")
    if not (tried := _tried(subject, "rollback")):
        return failed("nobody has gone back yet", "python -m deploy vps rollback, once")
    return passed(f"tried at {max(tried)}")


def alerts(subject: Subject) -> Answer:
    """Somebody is told when it does not serve, when jobs fail, and when the disk fills."""
    rules = sorted((subject.root / "deploy" / "monitoring").glob("rules*/*.y*ml"))
    if not rules:
        return by_hand(
            "no rules are here",
            "ask /health from outside, and alert on jobs_failed and jobs_oldest_queued_seconds",
        )
    known = ", ".join(str(each.relative_to(subject.root)) for each in rules)
    return by_hand(
        f"rules: {known}; who is told is not seen from here",
        "ask /health from outside; load the rules into a Prometheus, and let it tell who is "
        "on call: docs/alerts.md",
    )


def _with_code(subject: Subject) -> list[dict[str, Any]]:
    servers = subject.statuses.values()
    return [one for one in servers if {"web", "worker"}.intersection(one["roles"])]


def _logged(subject: Subject) -> list[str]:
    """When `deploy rollback` did it from this folder, and it went well."""
    file = subject.root / audit.FILE
    wanted = {"verb": "rollback", "target": subject.target, "stage": subject.stage, "result": "ok"}
    lines = entries(file.read_text(errors="replace")) if file.is_file() else []
    return [line["at"] for line in lines if wanted.items() <= line.items()]


def _tried(subject: Subject, verb: str) -> list[str]:
    """When each server did it last, and it went well. Older programs on servers do not say."""
    found = [one.get("tried", {}).get(verb) for one in subject.statuses.values()]
    return [at for at in found if at]
