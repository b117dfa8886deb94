"""What is so before anything is changed: who has a release, and what of servers.toml would take the
site down, or leave something behind."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deploy.shell import Failed, say
from deploy.vps.provision.connection import Line
from deploy.vps.provision.preflight import About
from deploy.vps.servers import Fleet, Server

Released = Callable[[Server], bool | None]
HISTORY = "/srv/slipway/history"  # the host program's, of the releases that have served


def has_release(line: Line) -> bool | None:
    """None if it does not answer."""
    try:
        ended = line.ask(["sh", "-c", f"[ ! -s {HISTORY} ] || echo yes"])
    except Failed:
        return None
    return None if ended.code else ended.out.strip() == "yes"


def dangers(fleet: Fleet, found: Mapping[str, About], released: Released) -> Iterator[str]:
    """In words. `found` has those that are provisioned now, by name; what each was is in its
    server.json."""
    was = {name: said for name, about in found.items() if (said := _read(about.known))}
    yield from _without_data(fleet, was)
    yield from _without_domain(fleet, was.get(fleet.front.name, {}), released)
    yield from _without_tls(fleet, was.get(fleet.front.name, {}), released)
    yield from _without_web(fleet, was, released)
    there = {*(each.name for each in fleet.servers), *(said["server"] for said in was.values())}
    for name in sorted({each for said in was.values() for each in said["names"]} - there):
        yield (
            f"{name} is none of the servers any more: no requests go there, and what runs on it"
            " goes on with the code and the connections that it has. Switch it off"
        )


def _without_data(fleet: Fleet, was: Mapping[str, Any]) -> Iterator[str]:
    called = _called(was)
    had = {called.get(name, name) for said in was.values() if (name := said["database"])}
    now = fleet.database.name if fleet.database else None
    for name in sorted(had - {now}):
        then = (
            f"{now} begins with an empty database. How they are moved: deploy/vps/README.md,"
            " Several servers"
            if now
            else "no other server has the role. `vps env set DATABASE_URL` names the next one"
        )
        yield (
            f"database is taken from {name}: its data stay on {name}, where no back-ups are made"
            f" any more, and {then}"
        )


def _without_domain(fleet: Fleet, was: Mapping[str, Any], released: Released) -> Iterator[str]:
    domain = was.get("domain", fleet.domain)
    if domain != fleet.domain and any(map(released, fleet.with_role("web"))):
        yield (
            f"{domain} is answered no more, as soon as {fleet.domain} is: does that lead here"
            " already, and do clients ask for it?"
        )


def _without_tls(fleet: Fleet, was: Mapping[str, Any], released: Released) -> Iterator[str]:
    webs = fleet.with_role("web")
    if fleet.tls == "none" and was.get("tls", "none") != "none" and any(map(released, webs)):
        yield (
            f'tls = "none": {fleet.front.name} speaks http only at once, and what serves sends'
            " everybody to https, until the next `vps release`"
        )


def _without_web(fleet: Fleet, was: Mapping[str, Any], released: Released) -> Iterator[str]:
    """Of one that is none of the fleet any more, it is not known whether it serves."""
    webs, there = fleet.with_role("web"), {each.name: each for each in fleet.servers}
    called = _called(was)
    had = {called.get(each, each) for said in was.values() for each in said["web_servers"]}
    gone = sorted(had - {each.name for each in webs})
    lost = [each for each in gone if each not in there or released(there[each])]
    if lost and not any(map(released, webs)):
        names = ", ".join(lost)
        yield (
            f"web is taken from {names}, and no server that has it has a release: nobody serves"
            f" until `vps release`. Leave it to {names} too, provision and release; then take it"
            " away"
        )


def _called(was: Mapping[str, Any]) -> dict[str, str]:
    """What the servers are called now, by what they were."""
    return {said["server"]: name for name, said in was.items()}


def _read(known: str) -> dict[str, Any]:
    """Of a server.json, as far as it is one."""
    try:
        said = json.loads(known)
        return (
            {"names": [], "database": None, **said}
            if "server" in said and "web_servers" in said
            else {}
        )
    except (ValueError, TypeError):
        return {}


def agree(said: list[str], *, sure: bool) -> None:
    """Raises Failed if somebody does not want it."""
    for each in said:
        say(f"careful: {each}")
    if said and not sure and not _agreed():
        raise Failed("nothing was touched: --yes, or say y, if that is wanted")


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    say("Go on? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
