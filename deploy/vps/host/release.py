"""A release: which step follows which.

Until the switch nothing that serves is touched; a failure after it switches back. What is known
lies in links and flags, so a release that was broken off anywhere needs no repair: the next one
begins by looking at them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.shell import CommandFailed, Failed, uninterrupted
from deploy.vps.host import (
    audit,
    backups,
    checks,
    edge,
    environments,
    layout,
    progress,
    releases,
    turn,
    units,
    workers,
)
from deploy.vps.host.layout import Host


def release(host: Host, folder: Path, who: str, what: str = "release", **about: object) -> None:
    """Have a release serve that was unpacked. Raises Failed, with what serves then. `about` is
    for a machine that waits."""
    with told(host, folder, who, what, **about):
        with _taken_away(host, folder):
            look(host, folder)
            prepare(host, folder)
            migrate(host, folder)
            switch(host, folder)
        settle(host, folder)


def prepare_alone(host: Host, folder: Path, who: str) -> None:
    """For who releases to several servers, step by step. Raises Failed."""
    with told(host, folder, who, "prepare"), _taken_away(host, folder):
        look(host, folder)
        prepare(host, folder)


def look(host: Host, *also: Path) -> None:
    """Finish what a release that was broken off has left. Raises Failed if the server is not fit
    for another one."""
    units.check(host)
    if (serves := edge.serving(host)) is None:
        return
    turn.keep_variables(host, serves)
    if host.server.has("worker") and not workers.run(host, serves):
        progress.step(f"worker and scheduler do not run {serves.name}, which serves: finish that")
        try:
            workers.replace(host, serves)
        except Failed as failure:  # the next release may be what mends them
            progress.warn(f"that failed, and is left so: {failure}")
    settle(host, serves, *also)


def prepare(host: Host, folder: Path) -> None:
    """Its environment, its variables, and whether the service accepts them."""
    variables = layout.target(folder / ".env") or layout.target(host.layout.env_current)
    if variables is None:
        raise Failed(
            f"{host.layout.env_current} is not there: the variables of the service."
            " python -m deploy vps provision writes them"
        )
    environments.provide(host, folder)
    layout.link(folder / ".env", variables)
    host.runner.run(environments.compile_release(folder))
    progress.step("check the variables")
    check_variables(host, folder)


def check_variables(host: Host, folder: Path, *more: str) -> str:
    """What the service says of them. Raises Failed, with all that is wrong with them."""
    try:
        return host.runner.run(units.service(folder, "settings", *more))
    except CommandFailed as failure:
        how = "On servers: python -m deploy vps env set NAME=VALUE"
        raise Failed(f"{failure.said}\n{how}") from None


def migrate(host: Host, folder: Path, *, saved: bool = False) -> None:
    """Bring the schema up to the code, after a back-up (unless it is `saved`), if it is behind."""
    if not (behind := pending(host, folder)):
        return
    if not saved:
        progress.step("back up the database")
        with backups.alone(host):
            # Without the database here, nothing else removes the old ones.
            progress.detail(backups.renew(host, folder, "migrate")[0])
    progress.step(f"migrate: {', '.join(behind)}")
    colour = edge.idle(host)
    turn.assign(host, colour, folder)
    progress.detail(units.migrate(host, colour))


def pending(host: Host, folder: Path) -> list[str]:
    """The revisions that the schema lacks. Raises Failed."""
    try:
        return host.runner.run(units.service(folder, "migrate", "--pending")).split()
    except CommandFailed as failure:
        raise Failed(failure.said or str(failure)) from None


def switch(host: Host, folder: Path, *, quick: bool = False) -> None:
    """Web and workers, and both back if one does not do."""
    turned = turn.turn(host, folder, quick=quick) if host.server.has("web") else None
    if not host.server.has("worker"):
        return
    before = layout.target(host.layout.workers)
    try:
        workers.replace(host, folder)
        if turned is None:
            turn.keep_variables(host, folder, before)
        if host.server.has("web") and not quick:
            progress.step("smoke test with a job")
            checks.smoke_job(host, folder)
    except BaseException:
        with uninterrupted():
            try:
                if turned is not None:
                    turn.back(host, turned)
            finally:
                workers.back(host, before)
        raise


def settle(host: Host, folder: Path, *also: Path) -> None:
    """It serves for good: the other colour ends, and what is too old is removed."""
    if edge.serving(host) != folder:
        raise Failed(f"{folder.name} does not serve: there is nothing to settle")
    try:
        releases.remember(host.layout, folder.name)
    except OSError as error:  # it serves all the same; the next change makes up for it
        progress.warn(f"that it serves was not written down: {layout.words(error)}")
    if host.server.has("web"):
        turn.drain(host)
    if gone := releases.prune(host, folder, *also):
        progress.detail(f"removed: {', '.join(gone)}")


def discard(host: Host, folder: Path, *, keep: bool) -> Path | None:
    """Take away a release that does not serve; where it is then, if it is to be looked at."""
    turn.unassign(host, folder)
    return releases.discard(host.layout, folder, keep=keep)


def needed(host: Host) -> Path:
    """The release that serves. Raises Failed without one."""
    if (serves := edge.serving(host)) is None:
        raise Failed("nothing serves here yet: there must be a release first")
    return serves


@contextmanager
def _taken_away(host: Host, folder: Path) -> Iterator[None]:
    """A release that fails does not stay among the others."""
    try:
        yield
    except BaseException as failure:
        with uninterrupted():
            try:
                kept = discard(host, folder, keep=True)
            except (Failed, OSError) as another:
                progress.warn(f"also failed: {another}")
                raise failure from None
        if isinstance(failure, (Failed, OSError)):
            why = _why(failure)
            raise Failed(f"{why}\nTo be looked at, it is in {kept}.") from None
        raise


@contextmanager
def told(host: Host, folder: Path, who: str, what: str, **more: object) -> Iterator[None]:
    """In the log, and to who waits: what came of it, and what serves in spite of a failure."""
    start = time.monotonic()
    try:
        with audit.logged(host.layout, who, what, folder.name):
            yield
    except (Failed, OSError) as failure:
        with uninterrupted():
            raise Failed(f"{_why(failure)}\n{turn.served(host)}") from failure
    except KeyboardInterrupt:
        with uninterrupted():
            progress.warn(turn.served(host))
        raise
    seconds = time.monotonic() - start
    about = {"result": "ok", "release": folder.name, "seconds": round(seconds, 1), **more}
    progress.tell(about, f"{turn.served(host)} It took {seconds:.1f} s.")


def _why(failure: Failed | OSError) -> str:
    return layout.words(failure) if isinstance(failure, OSError) else str(failure)
