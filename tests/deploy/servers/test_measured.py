"""A server that a Prometheus asks: a real one, with what `vps prometheus` prints, and our rules."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.vps.scrape import PORTS, TOKEN
from tests.deploy.docker.site import docker
from tests.deploy.prometheus import MONITORING, SERVERS, names, rules
from tests.deploy.servers.fleet import Fleet
from tests.deploy.servers.lab import NETWORK, Server
from tests.ports import free_port
from tests.waiting import until


class Prometheus:
    """Debian's, on this machine."""

    def __init__(self, port: int) -> None:
        self._port = port

    def asked(self, expression: str) -> list[dict[str, object]]:
        query = urllib.parse.urlencode({"query": expression})
        url = f"http://127.0.0.1:{self._port}/api/v1/query?{query}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: list[dict[str, object]] = json.load(answer)["data"]["result"]
            return found

    def is_up(self, count: int) -> bool:
        try:
            return len(self.asked("up == 1")) == count
        except OSError:
            return False


@contextmanager
def prometheus(folder: Path, printed: str, token: str) -> Iterator[Prometheus]:
    """Asks every second what was printed."""
    program = shutil.which("prometheus")
    assert program is not None, "apt install prometheus (its service need not run)"
    (folder / "token").write_text(token)
    text = (
        "global: { scrape_interval: 1s, evaluation_interval: 1s }\n"
        f"rule_files: [{MONITORING}/rules/*.yml]\n{printed}"
    )
    (folder / "prometheus.yml").write_text(text.replace(TOKEN, str(folder / "token")))
    port = free_port()
    words = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
    }
    command = [program, *(f"--{name}={value}" for name, value in words.items())]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as running:
        try:
            yield Prometheus(port)
        finally:
            running.terminate()


@pytest.fixture
def watched(one: Fleet) -> Iterator[Fleet]:
    """The server, which this machine may ask; its address there is the network's gateway."""
    shown = json.loads(docker("network", "inspect", NETWORK))
    gateway = shown[0]["IPAM"]["Config"][0]["Gateway"]
    settings = one.clone.folder / "deploy" / "servers.toml"
    kept = settings.read_text()
    table = f'[monitoring]\nprometheus = ["{gateway}"]\n[servers.'
    settings.write_text(kept.replace("[servers.", table, 1))
    try:
        one.ok("provision")
        yield one
    finally:
        settings.write_text(kept)
        one.ok("provision")


def test_a_prometheus_is_told_all_that_its_rules_ask_for(watched: Fleet, tmp_path: Path) -> None:
    assert "nothing changed" in watched.ok("provision")
    watched.ok("backup")
    watched.front.sh("systemctl start slipway-measure.service")
    printed = watched.ok("prometheus")
    given = re.search(r"vps run (.*)", printed)
    assert given
    token = watched.ok("run", *("sed", "-n", "s/^METRICS_TOKEN=//p", ".env")).strip()
    assert given[1] == "sed -n 's/^METRICS_TOKEN=//p' .env"
    with prometheus(tmp_path, printed, token) as asked:
        until(lambda: asked.is_up(len(PORTS)), seconds=60)
        for name in set().union(*(names(rule["expr"]) for rule in rules([SERVERS]))):
            until(lambda name=name: asked.asked(name) != [], seconds=15)  # type: ignore[misc]
        until(lambda: asked.asked("scheduler_leads == 1") != [])
        found = asked.asked('ALERTS{alertstate="firing"}')
        assert {each["metric"]["alertname"] for each in found} == {"Watchdog"}  # type: ignore[index]
        ends = "certificate_expires_timestamp_seconds - time()"
        (left,) = asked.asked(ends)
        days = float(left["value"][1]) / 86400  # type: ignore[index]
        assert int(days) == watched.status()["one"]["certificate_days"]


def test_nobody_else_is_answered(watched: Fleet) -> None:
    script = "; ".join(
        f'timeout 2 bash -c "</dev/tcp/{watched.front.address}/{port}" 2>/dev/null && echo {port}'
        for port in PORTS.values()
    )
    with Server("outsider", watched.front.key) as outsider:
        assert outsider.sh(f"{script}; true", check=False) == ""
    listening = watched.front.sh("ss -Hltn 'sport = :9100'")
    assert f"{watched.front.address}:9100" in listening and "0.0.0.0:9100" not in listening
