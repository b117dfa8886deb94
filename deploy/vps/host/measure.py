"""What no exporter knows of this server, written down for node exporter's textfile collector."""

from collections.abc import Iterator

from deploy.vps.host import backups, status
from deploy.vps.host.layout import Host

FILE = "slipway.prom"


def measure(host: Host) -> None:
    """Replace the file as a whole: it is read at any time, and by anybody. Raises OSError."""
    path = host.layout.metrics / FILE
    new = path.with_suffix(".new")
    new.write_text("".join(lines(host)))
    new.chmod(0o644)
    new.replace(path)


def lines(host: Host) -> Iterator[str]:
    """In Prometheus' text format. What cannot be known just now is left out: how old the file is,
    the collector says itself."""
    if host.server.has("database"):
        kept = [each.at.timestamp() for each in backups.every(host.layout) if not each.is_empty]
        yield from _gauge(
            "backup_newest_timestamp_seconds",
            "When the newest back-up that is not empty was made; 0: there is none.",
            max(kept, default=0),
        )
    ends, _ = status.certificate_ends(host)
    if ends is not None:
        yield from _gauge(
            "certificate_expires_timestamp_seconds",
            "When the certificate ends that nginx shows to users.",
            ends,
        )


def _gauge(name: str, says: str, value: float) -> Iterator[str]:
    yield f"# HELP {name} {says}\n# TYPE {name} gauge\n{name} {value:.0f}\n"
