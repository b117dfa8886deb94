"""The SSH server: keys only, and today's algorithms. Nobody is locked out by it (revert.py)."""

import re
from pathlib import Path

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision import users
from deploy.vps.provision.entries import Entry, File, Folder, Gone
from deploy.vps.provision.facts import Said
from deploy.vps.provision.operations import Acts, Note, differing, files, step
from deploy.vps.provision.revert import Risky, guarded
from deploy.vps.provision.system import MADE
from deploy.vps.servers import Fleet, Server

# Of two values the first counts, so that this stands before all others (50-cloud-init.conf, …).
PATH = "/etc/ssh/sshd_config.d/00-slipway.conf"
AUTHORIZED = "/etc/ssh/authorized_keys.d/deploy"
# Lists with "-" take away from OpenSSH's own, whose newest are better than what is written here.
SETTINGS = MADE + (
    "PermitRootLogin prohibit-password\n"
    "PubkeyAuthentication yes\n"
    "PasswordAuthentication no\n"
    "KbdInteractiveAuthentication no\n"
    "PermitEmptyPasswords no\n"
    "AuthenticationMethods publickey\n"
    # An agent offers its keys one after the other: three would shut out who has four.
    "MaxAuthTries 4\n"
    "LoginGraceTime 30\n"
    "MaxStartups 10:30:60\n"
    "ClientAliveInterval 60\n"
    "ClientAliveCountMax 2\n"
    "LogLevel VERBOSE\n"
    "X11Forwarding no\n"
    "AllowAgentForwarding no\n"
    "AllowStreamLocalForwarding no\n"
    "PermitTunnel no\n"
    # To jump over this server to one that has a private address only (ssh -J).
    "AllowTcpForwarding local\n"
    "GatewayPorts no\n"
    "PermitUserEnvironment no\n"
    "StrictModes yes\n"
    "TCPKeepAlive no\n"
    "Compression no\n"
    "KexAlgorithms -ecdh-sha2-nistp*,diffie-hellman-group14-sha256,"
    "diffie-hellman-group-exchange-sha256\n"
    "MACs -umac-*,hmac-sha1*,hmac-sha2-256,hmac-sha2-512\n"
    "HostKeyAlgorithms -ecdsa-*,sk-ecdsa-*\n"
)


# The last words, since they are for one user only: what runs as deploy, such as the program of each
# release, could write a file of deploy's own, and let in for good whom it likes.
FOR_DEPLOY = (
    "Match User deploy\n"
    f"    AuthorizedKeysFile {AUTHORIZED}\n"
    "    PermitUserRC no\n"
)  # fmt: skip


def settings(*users: str) -> str:
    """With those who may come in at all: who provisions, who has done so by hand, root by key, and
    who operates."""
    return f"{SETTINGS}AllowUsers {' '.join(sorted({*users, 'root', 'deploy'}))}\n{FOR_DEPLOY}"


# Whom AllowUsers would shut out though they are administrators: they have a key, a shell and sudo.
OTHERS = """LC_ALL=C
export LC_ALL
getent passwd | while IFS=: read -r user _ _ _ _ home shell; do
    case $shell in '' | */nologin | */false | */sync) continue ;; esac
    [ -s "$home/.ssh/authorized_keys" ] || continue
    if sudo -n -l -U "$user" </dev/null | grep -q 'may run'; then echo "$user"; fi
done
"""

# ssh.service: Debian's and Ubuntu's name. Connections that are open stay so.
RELOAD = ("systemctl", "reload-or-restart", "ssh.service")
# A line before the Include in sshd_config would win over ours.
CHECK = f"""/usr/sbin/sshd -t || exit 1
wins() {{
    echo "/etc/ssh/sshd_config $1 in a line before its Include: take it out" >&2
    exit 1
}}
/usr/sbin/sshd -T | grep -qx 'passwordauthentication no' || wins 'allows passwords'
/usr/sbin/sshd -T -C user=deploy,host=localhost,addr=127.0.0.1 \\
    | grep -qxi 'authorizedkeysfile {AUTHORIZED}' || wins 'says whose keys are for deploy'
exec "$@"
"""
CHECK_AND_RELOAD = ("sh", "-c", CHECK, "reload", *RELOAD)


def apply(fleet: Fleet, server: Server) -> None:
    step("ssh", files, [Folder(str(Path(AUTHORIZED).parent))])
    step("ssh", _keys, File(AUTHORIZED, users.authorized_keys(fleet)))
    step("ssh", _sshd, server)
    # Where they were before: sshd does not look there any more, and somebody has come in.
    step("ssh", files, gone())


def gone() -> list[Entry]:
    return [Gone("/home/deploy/.ssh/authorized_keys", by="deploy")]


@operation()
def _keys(file: File) -> Acts:
    """Who has taken their own key out is told so, and stays in."""
    if host.get_fact(Said, asked=["grep", "-F", f"AuthorizedKeysFile {AUTHORIZED}", PATH]):
        risky = Risky("revert-slipway-keys", file, "", ("true",), ("true",))
        yield from guarded(risky, logins=("deploy",))
    else:  # sshd does not read it yet: _sshd tries it
        yield from differing([file])


@operation()
def _sshd(server: Server) -> Acts:
    found: list[str] = host.get_fact(Said, asked=["sh", "-c", OTHERS])
    others = {each for each in found if re.fullmatch(r"[a-z_][a-z0-9_.-]*", each)}
    others -= {server.user, "root", "deploy"}
    text = settings(server.user, *others)
    file = File(PATH, text, mode="600", check=("/usr/sbin/sshd", "-t", "-f"))
    risky = Risky("revert-slipway-ssh", file, "reload sshd", CHECK_AND_RELOAD, RELOAD)
    for number, command in enumerate(guarded(risky, logins=(server.user, "deploy"))):
        if not number and others:
            names = ", ".join(sorted(others))
            yield Note(f"{names}: may still come in by SSH, with a key and sudo")
        yield command
