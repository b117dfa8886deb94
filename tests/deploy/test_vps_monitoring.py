"""What Prometheus asks servers of one's own: ports, who is let in, and what is measured there."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from deploy.shell import Failed
from deploy.vps import cli, edge, rules
from deploy.vps.edge import Nginx
from deploy.vps.host import measure
from deploy.vps.provision import firewall, monitoring, packages
from deploy.vps.provision.addresses import resolved
from deploy.vps.provision.entries import Entry, File, Gone
from deploy.vps.provision.preflight import About
from deploy.vps.scrape import TOKEN, ports, scrape_configs
from deploy.vps.servers import Server
from tests.deploy.standin import ONE as TOML
from tests.deploy.test_vps_backups import add
from tests.deploy.test_vps_provision import FRONT, ONE, WEB, WORKER, fleet
from tests.deploy.vps_host import make_host

WATCHED = {"monitoring": {"prometheus": ["10.0.0.9"]}}
THREE = fleet(FRONT, WEB, WORKER, **WATCHED)


def paths(entries: Sequence[Entry], kind: type[Entry]) -> set[str]:
    return {Path(each.path).name for each in entries if isinstance(each, kind)}


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (FRONT, {"node": 9100}),
        (WEB, {"node": 9100, "web": 8081, "worker": 9000, "scheduler": 9001}),
        (WORKER, {"node": 9100, "worker": 9000, "scheduler": 9001}),
    ],
)
def test_a_server_opens_a_port_for_each_that_can_say_something(
    on: Server, expected: dict[str, int]
) -> None:
    assert ports(THREE, on) == expected
    rules = firewall.nftables(THREE, on, {22})
    for port in expected.values():
        assert f"ip saddr {{ 10.0.0.9 }} tcp dport {port} accept\n" in rules


def test_nothing_is_open_installed_or_written_when_nobody_asks() -> None:
    quiet = fleet(ONE)
    assert ports(quiet, ONE) == {}
    assert "9100" not in firewall.nftables(quiet, ONE, {22})
    assert "8081" not in edge.site(quiet, ONE, Nginx((1, 26, 0)))
    entries = [*monitoring.exporter(quiet, ONE), *monitoring.ours(quiet)]
    assert paths([*entries, *monitoring.ports(quiet, ONE)], File) == set()
    assert "slipway-measure.timer" in paths(entries, Gone)


def test_the_node_exporter_is_installed_and_listens_on_the_private_address_alone() -> None:
    about = About()
    assert "prometheus-node-exporter" in packages.wanted(THREE, WORKER, about)
    assert "prometheus-node-exporter" not in packages.wanted(fleet(ONE), ONE, about)
    (_, unit, file) = monitoring.exporter(THREE, WORKER)
    assert isinstance(file, File)
    assert isinstance(unit, File)
    assert "--web.listen-address=[fd00::3]:9100 " in file.content
    assert "After=network-online.target" in unit.content  # before that the address may not be there


def test_one_server_is_not_asked_over_the_internet() -> None:
    public = ONE.model_copy(update={"address": "8.8.8.8", "private": "8.8.8.8"})
    assert not list(rules.contradictions(fleet(public, tls="none")))
    ((path, said),) = rules.contradictions(fleet(public, tls="none", **WATCHED))
    assert path == ("servers", "one", "private")
    assert "8.8.8.8 is public" in said


def test_of_one_server_that_is_asked_the_address_is_looked_up() -> None:
    named = ONE.model_copy(update={"private": "localhost"})
    assert resolved(fleet(named, **WATCHED)).servers[0].private in ("127.0.0.1", "::1")


def test_worker_and_scheduler_have_a_port_each_where_there_are_any() -> None:
    found = [each for each in monitoring.ports(THREE, WORKER) if isinstance(each, File)]
    assert [each.content.splitlines()[-1] for each in found] == [
        "Environment=METRICS_PORT=9000",
        "Environment=METRICS_PORT=9001",
    ]
    assert paths(monitoring.ports(THREE, FRONT), File) == set()


def test_nginx_lets_prometheus_alone_ask_web() -> None:
    site = edge.site(THREE, WEB, Nginx((1, 26, 0), ipv6=False), ["10.0.0.1"])
    block = site[site.index("listen 8081") :]
    assert "allow 10.0.0.9;\n        deny all;" in block
    assert "proxy_pass http://$upstream;" in block


def test_what_is_printed_is_what_a_prometheus_is_to_ask() -> None:
    found = yaml.safe_load(scrape_configs(THREE))["scrape_configs"]
    asked = {
        job["job_name"]: {
            target: group["labels"]["server"]
            for group in job["static_configs"]
            for target in group["targets"]
        }
        for job in found
    }
    assert asked == {
        "web": {"10.0.0.2:8081": "web"},
        "jobs": {
            "10.0.0.2:9000": "web",
            "10.0.0.2:9001": "web",
            "[fd00::3]:9000": "worker",
            "[fd00::3]:9001": "worker",
        },
        "node": {"10.0.0.1:9100": "front", "10.0.0.2:9100": "web", "[fd00::3]:9100": "worker"},
    }
    tokens = {job["job_name"]: job.get("authorization") for job in found}
    assert tokens == {"web": (read := {"credentials_file": TOKEN}), "jobs": read, "node": None}


def test_the_verb_prints_it_or_says_what_is_to_be_written_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deploy").mkdir()
    file = tmp_path / "deploy" / "servers.toml"
    file.write_text(TOML)
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    with pytest.raises(Failed, match=r"monitoring\.prometheus names nobody: put in its addresses"):
        cli.main(["prometheus"])
    file.write_text(
        TOML.replace("[servers.", '[monitoring]\nprometheus = ["10.0.0.9"]\n[servers.', 1)
    )
    assert cli.main(["prometheus"]) == 0
    assert "job_name: node" in capsys.readouterr().out


def test_the_newest_back_up_that_is_not_empty_is_measured(tmp_path: Path) -> None:
    host, _ = make_host(tmp_path)
    host.layout.metrics.mkdir(parents=True)
    measure.measure(host)
    file = host.layout.metrics / measure.FILE
    assert "backup_newest_timestamp_seconds 0\n" in file.read_text()
    for day in (8, 9):
        add(host, day)
    add(host, 10, revision=None)
    measure.measure(host)
    made = datetime(2026, 1, 9, 3, 10, tzinfo=UTC).timestamp()
    assert file.read_text().splitlines()[1:] == [
        "# TYPE backup_newest_timestamp_seconds gauge",
        f"backup_newest_timestamp_seconds {made:.0f}",
    ]
