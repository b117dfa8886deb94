"""A restore as its operator calls it: one server does all by itself; of several the front is closed
meanwhile, and the schema is brought up by a server with the code."""

import sys
from dataclasses import dataclass

from deploy.shell import Failed, say
from deploy.vps import session
from deploy.vps.failures import Lost
from deploy.vps.host.edge import RESTORE
from deploy.vps.servers import Fleet, Server
from deploy.vps.ssh import Ssh, ask, call, follow


def database(fleet: Fleet) -> Server:
    """Who has the back-ups."""
    return fleet.database or session.running(fleet)[0]


@dataclass(frozen=True)
class Restore:
    """Of a back-up of these servers' database."""

    fleet: Fleet
    ssh: Ssh
    who: str

    def run(self, backup: str, *, sure: bool) -> None:
        """Raises Failed."""
        if not sure:
            backup = self._agreed(backup)
        if len(self.fleet.servers) == 1:
            self._replace(backup)
            return
        self._look_before(backup)
        wanted = self._is_closed_by_somebody()
        if not wanted:
            self._maintain("on")
        try:
            self._replace(backup)
            self._catch_up()
        except (Failed, KeyboardInterrupt) as failure:
            known = isinstance(failure, Failed) and not isinstance(failure, Lost)
            self._maintenance_after(known=known and self._schema_is_up(), wanted=wanted)
            raise
        self._maintenance_after(known=True, wanted=wanted)

    def _agreed(self, name: str) -> str:
        """The back-up that somebody has typed the name of. Raises Failed."""
        if sys.stdin.isatty():
            there = ask(self.ssh, database(self.fleet), "backups")
            wanted = there.get("latest") if name == "latest" else name.removesuffix(".dump")
            lines = {each["name"]: each.get("line", wanted) for each in there["backups"]}
            if wanted not in lines:
                raise Failed(f"there is no back-up {name}, or nothing is in it: see `vps backups`")
            say(lines[wanted])
            if input("Replace the database by it? Type its name: ").strip() == wanted:
                return str(wanted)
        raise Failed("nothing was restored: --yes, or type the back-up's name")

    def _replace(self, backup: str) -> None:
        where = database(self.fleet)
        follow(self.ssh, where, "restore", backup, "--yes", "--who", self.who)

    def _look_before(self, name: str) -> None:
        """The site is closed for it: not for a name that is none. Raises Failed."""
        if self.fleet.database is None:
            raise Failed(
                "no server in servers.toml has the role database: restore where the database is"
            )
        where = self.fleet.database
        if lock := ask(self.ssh, where, "status")["locked"]:
            raise Failed(f"releases are locked by {lock['who']}: {lock['why']}. `vps lock off`")
        said = ask(self.ssh, where, "backups")
        there = [each["name"] for each in said["backups"]]
        known = there if said.get("latest", "") is None else ["latest", *there]
        if name.removesuffix(".dump") not in known:
            names = "\n  ".join(["", *there]) if there else " none"
            raise Failed(f"{where.name}: there is no back-up {name}; there are:{names}")

    def _is_closed_by_somebody(self) -> bool:
        """And not by a restore that was cut off: who does the next one opens the site too."""
        said = ask(self.ssh, self.fleet.front, "maintenance", "status")
        return said["maintenance"] and not (said.get("by") or "").startswith(RESTORE)

    def _maintain(self, what: str) -> None:
        who = f"{RESTORE} by {self.who}"
        say(call(self.ssh, self.fleet.front, "maintenance", what, "--who", who).strip())

    def _catch_up(self) -> None:
        """The back-up may be of an older schema than the code that serves."""
        web = self.fleet.with_role("web")[0]
        if serves := ask(self.ssh, web, "status")["release"]:
            follow(self.ssh, web, "migrate", serves, "--no-backup", "--who", self.who)

    def _schema_is_up(self) -> bool:
        """To the code that serves: as it was before, or the restore came so far."""
        web = self.fleet.with_role("web")[0]
        try:
            serves = ask(self.ssh, web, "status")["release"]
            return not serves or not ask(self.ssh, web, "migrate", serves, "--pending")["pending"]
        except Failed:
            return False

    def _maintenance_after(self, *, known: bool, wanted: bool) -> None:
        """As somebody wants it, if the service can work with the database that there is now."""
        if not known:
            say(
                "maintenance stays on: the database may be another one by now, and its schema older"
            )
            say("than the code. `vps release` migrates it; look at it, then `vps maintenance off`")
        elif not wanted:
            self._maintain("off")
