"""What is said before anything is changed, and that two who provision do not meet."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.shell import Failed
from deploy.vps.provision import before, hold, secrets
from deploy.vps.provision.preflight import About
from deploy.vps.servers import Fleet, Server
from tests.deploy.test_vps_provision import FRONT, ONE, THREE, WEB, fleet, server


def said(now: Fleet, was: Fleet, *released: Server) -> list[str]:
    """Of servers that are provisioned again."""
    found = {
        each.name: About(known=json.dumps(was.document(each)))
        for each in was.servers
        if each.name in {one.name for one in now.servers}
    }
    return list(before.dangers(now, found, lambda each: each in released))


def test_what_does_no_harm_is_not_spoken_of() -> None:
    assert said(THREE, THREE, WEB) == []
    assert said(fleet(ONE), fleet(ONE, tls="none"), ONE) == []
    assert list(before.dangers(THREE, {"front": About(), "web": About(known="?")}, bool)) == []
    more = server("web2", "web", private="10.0.0.4")
    assert said(fleet(FRONT, WEB, more), fleet(FRONT, WEB), WEB) == []


def test_a_site_that_will_speak_http_only_is_said_to() -> None:
    (text,) = said(fleet(ONE, tls="none"), fleet(ONE), ONE)
    assert text.startswith('tls = "none": one speaks http only at once')
    assert said(fleet(ONE, tls="none"), fleet(ONE)) == []  # nothing serves yet


def test_a_domain_that_will_be_answered_no_more_is_said() -> None:
    (text,) = said(fleet(ONE, domain="www.example.com"), fleet(ONE), ONE)
    assert text.startswith("api.example.com is answered no more, as soon as www.example.com is")
    assert said(fleet(ONE, domain="www.example.com"), fleet(ONE)) == []  # nothing serves yet


def test_that_nobody_will_serve_is_said() -> None:
    front = FRONT.model_copy(update={"name": "one"})
    (text,) = said(fleet(front, WEB), fleet(ONE), front)
    assert text.startswith("web is taken from one, and no server that has it has a release")
    assert said(fleet(front, WEB), fleet(ONE), WEB) == []
    assert said(fleet(front, WEB), fleet(ONE)) == []  # nobody has served before


def test_a_server_that_is_none_any_more_is_said_to_go_on() -> None:
    (text,) = said(fleet(FRONT, WEB), THREE, WEB)
    assert text.startswith("worker is none of the servers any more")
    renamed = About(known=json.dumps(fleet(ONE).document(ONE)))
    other = server("other", *ONE.roles)
    assert list(before.dangers(fleet(other), {"other": renamed}, lambda _: True)) == []
    assert list(before.dangers(fleet(other), {"other": renamed}, lambda _: False)) == []


def test_data_that_stay_where_the_database_was_are_said_to() -> None:
    data = server("data", "database", private="10.0.0.4")
    front = FRONT.model_copy(update={"roles": ("balancer", "redis")})
    (text,) = said(fleet(front, WEB, data), fleet(FRONT, WEB), WEB)
    assert text == (
        "database is taken from front: its data stay on front, where no back-ups are made any"
        " more, and data begins with an empty database. How they are moved: deploy/vps/README.md,"
        " Several servers"
    )
    (text,) = said(fleet(front, WEB), fleet(FRONT, WEB), WEB)
    assert text.startswith("database is taken from front: its data stay on front, where no back-up")
    assert "`vps env set DATABASE_URL`" in text
    assert said(fleet(FRONT, WEB), fleet(front, WEB), WEB) == []  # a provider's, before


def test_they_are_said_to_of_a_server_that_is_gone_too() -> None:
    one = server("one", "web", "worker", "database", "redis", private="10.0.0.5")
    known = About(known=json.dumps(THREE.document(WEB)))
    first, *_ = before.dangers(fleet(one), {"one": known}, lambda _: True)
    assert first.startswith("database is taken from front: its data stay on front, ")


def test_a_database_whose_server_is_renamed_stays_where_it_is() -> None:
    known = About(known=json.dumps(fleet(ONE).document(ONE)))
    other = server("other", *ONE.roles)
    assert list(before.dangers(fleet(other), {"other": known}, lambda _: True)) == []


def test_who_is_not_asked_has_to_have_said_yes(capsys: pytest.CaptureFixture[str]) -> None:
    before.agree([], sure=False)
    before.agree(["it burns"], sure=True)
    assert capsys.readouterr().out == "careful: it burns\n"
    with pytest.raises(Failed, match="nothing was touched: --yes, or say y"):
        before.agree(["it burns"], sure=False)


@contextmanager
def holding(folder: Path, who: str) -> Iterator[Any]:
    """What the server says to who wants to provision it."""
    script = hold.HOLD.replace("/run/", f"{folder}/")
    command = ["sh", "-c", script, "hold", who]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdin is not None and running.stdout is not None
        yield running.stdout.readline().strip()
        running.stdin.close()


def test_two_who_provision_a_server_do_so_one_after_the_other(tmp_path: Path) -> None:
    with holding(tmp_path, "alice") as alice, holding(tmp_path, "bob") as bob:
        assert alice == "held"
        assert bob.startswith("alice, since ")
        assert bob.endswith(" UTC, is provisioning it: wait until that has ended")
    with holding(tmp_path, "bob") as bob:
        assert bob == "held"


def test_two_who_make_a_secret_get_the_same(tmp_path: Path) -> None:
    """With an openssl that takes its time."""
    (tmp_path / "openssl").write_text('#!/bin/sh\nsleep 0.3; exec /usr/bin/openssl "$@"\n')
    (tmp_path / "openssl").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = secrets.PROGRAM.read_text().replace("/etc/slipway", str(tmp_path / "etc"))
    command = ["sh", "-c", script, "sh", "make", "jwt"]
    running = []
    for _ in ("alice", "bob"):
        running.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True))
        time.sleep(0.15)
    said = [each.communicate()[0].splitlines() for each in running]
    kept = (tmp_path / "etc/secrets/jwt").read_text().strip()
    # Mostly the first makes it; on a busy machine it may be the other.
    assert sorted(said) == [[f"jwt={kept}"], ["made jwt", f"jwt={kept}"]]
    assert len(kept) == 64 and len(list((tmp_path / "etc/secrets").iterdir())) == 1
