"""Whether a release serves: ready, of the right commit, and the smoke test."""

import sys
import time
from pathlib import Path

from deploy.shell import CommandFailed, Failed
from deploy.vps.host import envfile, progress, releases, surroundings, units
from deploy.vps.host.layout import INNER_PORT, PORTS, Host

READY_WITHIN = 60  # seconds from when a colour was started
PATIENCE = 3  # seconds for which a smoke test waits: after the switch it is users who wait
JOB_PATIENCE = 20
ROOT = Path(__file__).resolve().parents[3]  # of the code that runs


def ready(host: Host, colour: str, release: Path) -> None:
    """Waits. Raises Failed with its last words if it does not get ready, or is another one."""
    deadline, commit = time.monotonic() + READY_WITHIN, releases.commit(release)
    while True:
        status, said = host.runner.ask(PORTS[colour], "/health/ready")
        if status == 200:
            break
        if time.monotonic() > deadline or not units.runs(host, units.web(colour)):
            why = said.get("reason") or f"it answers {status}" if status else "it does not answer"
            words = units.last_words(host, units.web(colour))
            raise Failed(f"{colour} does not get ready ({why}). It said last:\n{words}")
        host.runner.sleep(0.1)
    version = host.runner.ask(PORTS[colour], "/health")[1].get("version")
    if version != commit:
        raise Failed(f"{colour} says that it is {version}, and not {commit}")


def smoke_web(host: Host, colour: str, release: Path) -> None:
    """Ask the colour itself, as nginx will, before anybody is sent there."""
    _smoke(host, f"http://127.0.0.1:{PORTS[colour]}", release, "--web-only", "--forwarded")


def smoke_edge(host: Host, release: Path) -> None:
    """Ask through nginx, by the name that clients use."""
    _smoke(host, edge_url(host), release, *_HERE, "--web-only")


def smoke_job(host: Host, release: Path) -> None:
    """With a job, through a worker, if the service has the token for that."""
    if token := envfile.values((release / ".env").read_text()).get("SMOKE_TOKEN"):
        _smoke(
            host,
            edge_url(host),
            release,
            *_HERE,
            "--token-file",
            "/dev/stdin",
            token=token,
            patience=JOB_PATIENCE,
        )
    else:
        progress.detail("no job was tried: that needs a SMOKE_TOKEN")


_HERE = ("--at", "127.0.0.1", "--insecure")


def edge_url(host: Host) -> str:
    """nginx on this server, as its clients call it: a balancer, or everybody."""
    if host.server.behind_balancer:
        return f"http://{host.server.domain}:{INNER_PORT}"
    return f"{'http' if host.server.tls == 'none' else 'https'}://{host.server.domain}"


def _smoke(
    host: Host, url: str, release: Path, *more: str, token: str = "", patience: int = PATIENCE
) -> None:
    words = [url, "--commit", releases.commit(release), "--timeout", str(patience), *more]
    environment = surroundings.clean() | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "deploy.smoke", *words]
    try:
        said = host.runner.run(command, given=token.encode(), env=environment)
    except CommandFailed as failure:
        why = failure.said.rpartition("failed: ")[2]
        raise Failed(f"the smoke test of {url} failed: {why}") from None
    rows = [line.split() for line in said.splitlines()]
    passed = sum(row[1:2] == ["ok"] for row in rows)
    skipped = [row[0] for row in rows if row[1:2] == ["skipped"]]
    progress.detail(f"{passed} checks passed{_skipped(skipped)}")


def _skipped(names: list[str]) -> str:
    return f"; skipped: {', '.join(names)}" if names else ""
