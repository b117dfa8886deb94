"""What is killed or stopped on a server behind systemd's back, and who starts it again."""

import re

from tests.deploy.servers.fleet import Fleet
from tests.waiting import until


def test_a_database_that_is_killed_comes_back_and_one_that_is_stopped_is_started(
    one: Fleet,
) -> None:
    process = "head -1 /var/lib/postgresql/*/main/postmaster.pid 2>/dev/null"
    before = one.front.sh(process)
    one.front.sh(f"kill -9 {before}")
    until(lambda: one.front.sh(process, check=False) not in ("", before))
    until(lambda: one.request("GET", "/health/ready").status == 200)
    one.front.sh("systemctl stop 'postgresql@*'")  # and not the umbrella over it
    assert "postgresql is inactive" in one.vps("status").stdout
    assert re.search(r" start postgresql@\d+-main\.service$", one.ok("provision"), re.M)
    until(lambda: one.request("GET", "/health/ready").status == 200)
    until(lambda: one.status()["one"].get("health") == "healthy", seconds=60)


def test_redis_is_not_given_up_however_often_it_is_killed(one: Fleet) -> None:
    """systemd's own limit is five times in 10 s."""
    one.front.sh(
        "for i in 1 2 3 4 5 6; do until systemctl is-active -q redis-server; do sleep 0.1; done;"
        " systemctl kill -s KILL redis-server; sleep 0.3; done"
    )
    until(lambda: one.front.sh("systemctl is-active redis-server", check=False) == "active\n")
    until(lambda: one.status()["one"].get("health") == "healthy", seconds=60)


def test_a_restore_that_was_cut_off_in_its_swap_is_got_over(one: Fleet) -> None:
    """As a power cut leaves it: nobody may connect, and the site is closed."""
    one.ok("backup", "--reason", "before")
    closed = "ALTER DATABASE slipway ALLOW_CONNECTIONS false"
    ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'slipway'"
    one.front.sh(f'runuser -u postgres -- psql -q -c "{closed}" -c "{ended}"')
    one.front.sh("runuser -u deploy -- sh -c 'echo a restore >/srv/slipway/edge/maintenance'")
    assert one.request("GET", "/health/ready").status == 503
    one.ok("provision")
    until(lambda: one.request("GET", "/health/ready").status == 200)
    assert "maintenance is on, by a restore" in one.vps("status").stdout
    one.ok("restore", "latest", "--yes")
    assert one.ok("maintenance", "status") == "maintenance is off\n"
    until(lambda: one.status()["one"].get("health") == "healthy", seconds=60)
