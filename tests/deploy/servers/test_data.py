"""Back-ups that are restored, and what only an operator does: maintenance, locks, commands."""

import json
import re

from tests.deploy.servers.fleet import Fleet
from tests.deploy.servers.lab import Server
from tests.people import PASSWORD
from tests.waiting import until


def users(fleet: Fleet) -> int:
    return int(fleet.database.sql("SELECT count(*) FROM users")[0][0])


def sign_up(fleet: Fleet, name: str) -> None:
    account = {"email": f"{name}@example.com", "password": PASSWORD}
    assert fleet.request("POST", "/api/users", account).status == 201


def test_what_was_backed_up_is_there_after_the_database_was_dropped(one: Fleet) -> None:
    sign_up(one, "alice")
    until(lambda: one.unfinished() == 0)
    rows = users(one), one.welcomed()
    one.ok("backup", "--reason", "test")
    assert "can be restored" in one.ok("restore-test")
    one.front.sh("runuser -u postgres -- psql -qc 'DROP DATABASE slipway WITH (FORCE)'")
    assert one.request("GET", "/health/ready").status == 503
    one.ok("restore", "latest", "--yes")
    until(lambda: one.request("GET", "/health/ready").status == 200, seconds=30)
    assert (users(one), one.welcomed()) == rows
    sign_up(one, "bob")
    until(lambda: one.unfinished() == 0, seconds=60)


def test_a_restore_goes_back_to_the_back_up_and_keeps_what_was(one: Fleet) -> None:
    one.ok("backup", "--reason", "before")
    before = users(one)
    sign_up(one, "charlie")
    said = one.ok("restore", "latest", "--yes")
    assert users(one) == before
    kept = next(word for word in said.split() if word.startswith("slipway_replaced_"))
    query = ["runuser", "-u", "postgres", "--", "psql", "-Atc", "SELECT count(*) FROM users", kept]
    assert int(one.front.sh(" ".join(f"'{word}'" for word in query))) == before + 1
    one.ok("restore", "latest", "--yes")  # for the second time: what was first is kept
    assert int(one.front.sh(" ".join(f"'{word}'" for word in query))) == before + 1


def test_a_back_up_may_take_longer_than_the_service(one: Fleet) -> None:
    one.database.sql("CREATE TABLE large AS SELECT generate_series(1, 2000000) AS number")
    one.database.sql("ALTER TABLE large OWNER TO slipway")
    one.database.sql("ALTER ROLE slipway SET statement_timeout = '10ms'")
    try:
        one.ok("backup", "--reason", "large")
        one.ok("restore-test")
    finally:
        one.database.sql("ALTER ROLE slipway SET statement_timeout = '5min'")
        one.database.sql("DROP TABLE large")
        one.database.sh("rm -f /var/backups/slipway/*-large.*")


def test_what_a_restore_replaced_can_be_had_back(one: Fleet) -> None:
    one.ok("backup", "--reason", "before")
    sign_up(one, "dave")
    count = users(one)
    said = one.ok("restore", "latest", "--yes")
    kept = next(word for word in said.split() if word.startswith("slipway_replaced_"))
    one.ok("maintenance", "on")
    try:
        swap = f"/usr/local/sbin/slipway-root database swap {kept} slipway_replaced_by_hand"
        one.front.sh(f"runuser -u deploy -- sudo -n {swap}")
        assert users(one) == count
    finally:
        one.ok("maintenance", "off")


def test_an_empty_back_up_is_not_the_latest(one: Fleet) -> None:
    one.ok("backup", "--reason", "full")
    empty = "/var/backups/slipway/20991231T000000Z-empty"
    about = '{"revision": null, "counts": {}, "bytes": 1, "seconds": 0.1}'
    one.front.sh(f"echo x >{empty}.dump; echo '{about}' >{empty}.json; chown deploy: {empty}.*")
    try:
        assert "-full is live" in one.ok("restore", "latest", "--yes")
    finally:
        one.front.sh(f"rm {empty}.*")


def test_a_back_up_that_deploy_cannot_read_is_named(one: Fleet) -> None:
    files = "/var/backups/slipway/20200101T000000Z-copied"
    one.front.sh(f"touch {files}.dump {files}.json; chmod 600 {files}.*")  # as root
    try:
        assert f"chown deploy: {files}.*" in one.ok("backups")
    finally:
        one.front.sh(f"rm {files}.*")


def test_a_restore_is_refused_before_the_disk_is_full(one: Fleet) -> None:
    before = users(one)
    one.ok("backup", "--reason", "room")
    files = "/var/backups/slipway/*-room"
    one.front.sh(f"""sed -i 's/"bytes": [0-9]*/"bytes": 99999999999999/' {files}.json""")
    try:
        ended = one.vps("restore", "latest", "--yes")
        assert (ended.returncode, "MiB free" in ended.stderr) == (1, True)
        assert users(one) == before
    finally:
        one.front.sh(f"rm {files}.*")


def test_a_back_up_that_was_copied_by_halves_is_named(one: Fleet) -> None:
    name = "20200101T000000Z-copied"
    one.front.sh(f"touch /var/backups/slipway/{name}.dump")
    try:
        ended = one.vps("restore", name, "--yes")
        assert (ended.returncode, f"{name}.json" in ended.stderr) == (1, True)
    finally:
        one.front.sh(f"rm /var/backups/slipway/{name}.dump")


def test_a_back_up_that_is_damaged_is_found(one: Fleet) -> None:
    one.ok("backup", "--reason", "damaged")
    file = one.front.sh("ls /var/backups/slipway/*-damaged.dump").strip()
    one.front.sh(f"truncate -s 2000 {file}")
    try:
        ended = one.vps("restore-test")
        assert ended.returncode == 1
        assert "cannot be restored" in ended.stderr
        before = users(one)
        assert one.vps("restore", "latest", "--yes").returncode == 1
        assert users(one) == before
    finally:
        one.front.sh(f"rm {file} {file.removesuffix('.dump')}.json")


def test_a_back_up_is_made_each_night_by_a_unit(one: Fleet) -> None:
    assert "03:10" in one.front.sh("systemctl cat slipway-backup.timer")
    count = len(one.ok("backups").splitlines())
    one.front.sh("systemctl start slipway-backup.service")
    assert len(one.ok("backups").splitlines()) == count + 1


def test_a_back_up_is_copied_to_another_server_that_lets_it_in(one: Fleet, key: str) -> None:
    settings = one.clone.folder / "deploy" / "servers.toml"
    text = settings.read_text()
    with Server("keeper", key) as keeper:
        keeper.sh("useradd --create-home keeper; mkdir ~keeper/.ssh /srv/backups")
        to = f'[backups]\ncopy_to = "keeper@{keeper.address}:/srv/backups"\n[servers.one]'
        settings.write_text(text.replace("[servers.one]", to))
        try:
            told = re.search(r"its own key, to be let in by \S+: (ssh-.*)", one.ok("provision"))
            assert told
            assert "is here, and was not copied to keeper@" in one.vps("backup").stderr
            keeper.sh(f"echo '{told[1]}' >~keeper/.ssh/authorized_keys")
            keeper.sh("chown -R keeper: ~keeper/.ssh /srv/backups")
            one.front.sh("systemctl start slipway-backup.service")
            name = one.ok("backups").splitlines()[-1].split()[0]
            assert keeper.sh("ls /srv/backups").split() == [f"{name}.dump", f"{name}.json"]
        finally:
            settings.write_text(text)
            one.ok("provision")


def test_maintenance_answers_with_503_and_health_goes_on(one: Fleet) -> None:
    one.ok("maintenance", "on")
    try:
        answer = one.request("GET", "/openapi.json")
        assert (answer.status, answer.json()["status"]) == (503, 503)
        assert int(answer.headers["Retry-After"]) > 0
        assert one.request("GET", "/health/ready").status == 200
        assert "on" in one.ok("maintenance", "status")
    finally:
        one.ok("maintenance", "off")
    assert one.request("GET", "/openapi.json").status == 200


def test_a_lock_refuses_releases_and_says_whose_it_is(one: Fleet) -> None:
    one.ok("lock", "on", "the database is being moved")
    try:
        refused = one.vps("release")
        assert refused.returncode == 1
        assert "the database is being moved" in refused.stderr
        assert "the database is being moved" in one.vps("status").stdout
    finally:
        one.ok("lock", "off")
    until(lambda: one.vps("status").returncode == 0)


def test_a_command_runs_in_the_release_that_serves_as_its_user(one: Fleet) -> None:
    said = one.ok("run", "python", "-m", "service", "doctor", "--json")
    assert json.loads(said)
    assert one.ok("run", "id", "-un") == "slipway\n"
    assert one.vps("run", "false").returncode == 1


def test_a_console_has_the_app_and_a_session(one: Fleet) -> None:
    count = "session.execute(text('SELECT count(*) FROM users')).scalar_one()"
    given = f"from sqlalchemy import text\nprint('users:', {count}, app.name)\n"
    assert f"users: {users(one)} service" in one.ok("console", given=given)


def test_what_was_said_can_be_read(one: Fleet) -> None:
    one.ok("run", "logger", "-t", "slipway-by-hand", "said by nobody")
    assert one.request("GET", "/asked-for-once").status == 404
    until(lambda: "/asked-for-once" in one.ok("logs", "web", "-n", "50"))
    assert "said by nobody" not in one.ok("logs", "-n", "500")
    assert one.vps("logs", "no-such").returncode != 0


def test_secrets_are_in_no_list_no_log_and_no_process(one: Fleet) -> None:
    secret = "a-very-secret-value-of-more-than-32-characters"
    one.ok("env", "set", "METRICS_TOKEN", given=f"{secret}\n")
    assert secret not in one.ok("env", "list")
    assert "METRICS_TOKEN=" in one.ok("env", "list")
    found = one.front.sh(
        f"grep -rlF {secret} /proc/[0-9]*/cmdline /var/log /srv/slipway/log.jsonl 2>/dev/null;"
        f" journalctl -o cat --no-pager | grep -cF {secret}",
        check=False,
    )
    # grep itself has it among its arguments.
    assert [line for line in found.splitlines() if not line.startswith("/proc/")] == ["0"]
    assert one.front.sh("stat -c '%a %U %G' $(readlink -f /srv/slipway/env/current)") == (
        "640 deploy slipway\n"
    )


def test_a_variable_that_is_not_valid_is_refused_and_changes_nothing(one: Fleet) -> None:
    before = one.ok("env", "list")
    refused = one.vps("env", "set", "PROXY_HOPS=many")
    assert refused.returncode == 1
    assert "PROXY_HOPS" in refused.stderr
    assert one.ok("env", "list") == before
    refused = one.vps("env", "unset", "JWT_SECRET")
    assert refused.returncode == 1
    assert "JWT_SECRET" in refused.stderr
