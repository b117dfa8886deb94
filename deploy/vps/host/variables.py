"""The service's variables on this server: versions of .env, of which each release has one."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from deploy.shell import Failed
from deploy.vps.host import edge, envfile, layout, progress, release, releases, turn
from deploy.vps.host.layout import Host

HIDDEN = "(set)"
_WORDS = ("SECRET", "TOKEN", "PASS", "PRIVATE", "KEY", "DSN", "HEADERS", "CREDENTIAL")


def change(
    host: Host,
    given: dict[str, str],
    removed: tuple[str, ...],
    who: str,
    at: datetime | None = None,
) -> None:
    """Release what serves anew, with other variables. Raises Failed; if the service would not
    accept them, before anything is changed."""
    release.look(host)  # before it is said that all is so already
    serves = edge.serving(host)
    _say_absent(text := _text(host), removed)
    wanted = envfile.changed(text, given, removed)
    if envfile.values(wanted) == envfile.values(text):
        about = {"result": "ok", "changed": False, "release": serves.name if serves else None}
        progress.tell(about, "nothing is changed: it is so already")
        return
    file = _write(host, wanted)
    if serves is None:
        layout.link(host.layout.env_current, file.name)
        progress.tell({"result": "ok", "changed": True}, "kept for the first release")
        return
    try:
        _say_unknown(given, release.check_variables(host, serves, "--json", "--dotenv", str(file)))
        folder = copied(host, serves, file, at)
    except BaseException:
        file.unlink()
        raise
    what = " ".join(["env", *sorted(given), *(f"-{name}" for name in removed)])
    release.release(host, folder, who, what, changed=True)


def _say_absent(text: str, removed: tuple[str, ...]) -> None:
    """No failure: whoever was broken off between two servers calls it again on both."""
    for name in removed:
        if name not in envfile.values(text):
            progress.detail(f"{name} is not set")


def _say_unknown(given: dict[str, str], said: str) -> None:
    """No failure: what the service does not read, a library of it may."""
    known = _parsed(said)
    for name in given if known else ():
        if name.removesuffix("_FILE") not in known:
            meant = "".join(f" ({each}?)" for each in get_close_matches(name, known, 1))
            progress.detail(f"{name} is no variable of the service{meant}; it is set all the same")


def copied(host: Host, serves: Path, file: Path, at: datetime | None = None) -> Path:
    """A release of the same code, whose files are the same too: no more room, and no time."""
    name = releases.new_name(host.layout, releases.commit(serves), at)
    new, folder = host.layout.releases / f".{name}", host.layout.releases / name
    host.runner.run(["cp", "--archive", "--link", str(serves), str(new)])
    layout.link(new / ".env", file)
    if (now := layout.target(host.layout.env_current)) is not None:
        layout.link(new / turn.PREPARED_WITH, now)
    new.rename(folder)
    return folder


def _text(host: Host) -> str:
    try:
        return host.layout.env_current.read_text()
    except FileNotFoundError:
        return ""


def _write(host: Host, text: str) -> Path:
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.env"
    layout.write(host.layout.env / name, text, 0o640)
    return host.layout.env / name


def listed(host: Host) -> list[tuple[str, str]]:
    """Names and values, without secrets: those that the service calls so, and what looks like
    one."""
    found, known = envfile.values(_text(host)), _known(host)
    return [(name, shown(name, found[name], known.get)) for name in sorted(found)]


def _known(host: Host) -> dict[str, dict[str, Any]]:
    """What the service that serves says of each variable; nothing if it cannot be asked."""
    if (serves := edge.serving(host)) is None:
        return {}
    file = str(host.layout.env_current.resolve())
    try:
        return _parsed(release.check_variables(host, serves, "--json", "--dotenv", file))
    except Failed:
        return {}


def _parsed(said: str) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def shown(name: str, value: str, known: Callable[[str], dict[str, Any] | None]) -> str:
    """A value as it may be shown."""
    if (about := known(name)) is not None:
        return str(about["value"]) if about["secret"] else value
    if any(word in name for word in _WORDS) or ("://" in value and "@" in value):
        return HIDDEN
    return value
