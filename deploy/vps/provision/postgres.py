"""PostgreSQL: the service's role and database, who may connect, settings for this much memory."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision.entries import Entry, File, Folder
from deploy.vps.provision.facts import Said, Units
from deploy.vps.provision.firewall import clients
from deploy.vps.provision.operations import (
    Act,
    Acts,
    differing,
    files,
    known,
    settle,
    started,
    step,
    units,
)
from deploy.vps.provision.preflight import About, steps
from deploy.vps.provision.secrets import Secrets
from deploy.vps.provision.system import ANYWAY, MADE
from deploy.vps.servers import Fleet, Server

ROLE = Path(__file__).with_name("role.sql")
CLUSTERS = "/etc/postgresql"  # below it, a folder for each version
# Settings that are wrong are said before they are taken; a restart, which ends connections, only if
# what was changed needs one.
TAKE_UP = """set -eu
ask() { runuser -u postgres -- psql -XAtqc "$1"; }
wrong=$(ask "SELECT sourcefile || ':' || sourceline || ': ' || name || ': ' || error
    FROM pg_file_settings WHERE error <> 'setting could not be applied'
    UNION ALL SELECT 'pg_hba.conf:' || line_number || ': ' || error
    FROM pg_hba_file_rules WHERE error IS NOT NULL")
if [ -n "$wrong" ]; then echo "$wrong" >&2; exit 1; fi
ask "SELECT pg_reload_conf()" >/dev/null
sleep 0.5
if [ "$(ask "SELECT count(*) FROM pg_settings WHERE pending_restart")" != 0 ]; then
    systemctl restart postgresql
fi
"""
# Prints a line if the role can log in with its password.
ASK = """PGPASSWORD=$(cat /etc/slipway/secrets/database)
    export PGPASSWORD
    psql -XAtqw -h 127.0.0.1 -U slipway slipway -c "
    SELECT concat_ws(' ', rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication,
        pg_get_userbyid(datdba), current_setting('statement_timeout'),
        current_setting('lock_timeout'), has_database_privilege('public', datname, 'CONNECT'))
    FROM pg_roles, pg_database WHERE rolname = current_user AND datname = 'slipway'"
"""
AS_IT_SHOULD_BE = "f slipway 5min 30s f"
MAKE_ROLE = """runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 >/dev/null"""


def apply(fleet: Fleet, server: Server, secrets: Secrets) -> None:
    about: About = host.data.about
    dropin = "/etc/systemd/system/postgresql@.service.d"
    # Debian's unit leaves a cluster dead that was killed. One that was stopped in order stays so,
    # as pg_ctlcluster wants it.
    unit = [Folder(dropin), File(f"{dropin}/slipway.conf", ANYWAY, pending="systemd")]
    step("postgresql", files, unit)
    conf = [settings(fleet, server, memory) for memory in steps(about.memory)]
    step("postgresql", _settings, pg_hba(fleet, server), conf)
    step("postgresql", units, ["postgresql.service"])
    step("postgresql", _runs)
    step("postgresql", settle, "postgresql", ["sh", "-c", TAKE_UP], says="take up the settings")
    step("postgresql", _role, secrets)


def _version() -> str:
    """That of the distribution, which is known when it is installed; a word in a dry run before."""
    found = host.get_fact(Said, asked=["sh", "-c", f"ls -d {CLUSTERS}/*/main | sort -V"])
    return Path(found[-1]).parent.name if found else "VERSION"


@operation()
def _settings(hba: str, conf: Sequence[str]) -> Acts:
    folder = f"{CLUSTERS}/{_version()}/main"
    ours = partial(File, owner="postgres", group="postgres", pending="postgresql")
    entries: list[Entry] = [
        ours(f"{folder}/conf.d/slipway.conf", conf[0], as_good=tuple(conf[1:])),
        ours(f"{folder}/pg_hba.conf", hba, mode="640"),
    ]
    yield from differing(entries)


@operation()
def _runs() -> Acts:
    """The cluster itself: postgresql.service is an umbrella, which stays up when that is dead."""
    unit = f"postgresql@{_version()}-main.service"
    states = host.get_fact(Units, units=[unit])
    yield from known(states)
    yield from started(unit, states)


def pg_hba(fleet: Fleet, server: Server) -> str:
    """Who may connect, and how. From other servers, encrypted only."""
    rows = [
        ("local", "all", "postgres", "", "peer"),
        # Any database: a back-up is tried in one beside the live one.
        ("host", "all", "slipway", "127.0.0.1/32", "scram-sha-256"),
    ]
    for each in clients(fleet, server):
        bits = 128 if ":" in each.private else 32
        rows.append(("hostssl", "slipway", "slipway", f"{each.private}/{bits}", "scram-sha-256"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return MADE + "".join(f"{line}\n" for line in lines)


def settings(fleet: Fleet, server: Server, memory: int) -> str:
    """`memory` in KiB."""
    alone = set(server.roles) == {"database"}
    others = clients(fleet, server)
    listen = ["127.0.0.1", *([server.private] if others else [])]
    found = {
        "listen_addresses": ",".join(listen),
        "max_connections": "200",
        "shared_buffers": _megabytes(memory * 0.25),
        "effective_cache_size": _megabytes(memory * (0.75 if alone else 0.5)),
        "maintenance_work_mem": _megabytes(min(memory / 16, 1024**2)),
        "work_mem": "8MB" if memory > 4 * 1024**2 else "4MB",
        "max_wal_size": "2GB",
        "wal_compression": "on",
        "checkpoint_completion_target": "0.9",
        "random_page_cost": "1.1",  # disks of servers have no heads to move
        "password_encryption": "scram-sha-256",
        "idle_in_transaction_session_timeout": "10min",
        "log_min_duration_statement": "500ms",
        "log_parameter_max_length": "0",  # what people have typed is no business of a log
        "log_lock_waits": "on",
        "log_checkpoints": "off",
        "track_io_timing": "on",
    }
    return MADE + "".join(f"{name} = '{value}'\n" for name, value in found.items())


def _megabytes(kibibytes: float) -> str:
    return f"{max(32, int(kibibytes / 1024))}MB"


@operation()
def _role(secrets: Secrets) -> Acts:
    if host.get_fact(Said, asked=["sh", "-c", ASK]) != [AS_IT_SHOULD_BE]:
        given = f"\\set password '{secrets.database}'\n{ROLE.read_text()}"
        yield Act("make or mend role and database slipway", ["sh", "-c", MAKE_ROLE], given)
