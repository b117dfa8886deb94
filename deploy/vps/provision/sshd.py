"""The SSH server: keys only, and today's algorithms. Nobody is locked out by it (revert.py)."""

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.shell import Failed
from deploy.vps.provision.connection import Line
from deploy.vps.provision.operations import Acts, Check, File, step
from deploy.vps.provision.revert import Risky, can_log_in, guarded
from deploy.vps.provision.system import MADE
from deploy.vps.servers import Fleet, Server

# Of two values the first counts, so that this stands before all others (50-cloud-init.conf, …).
PATH = "/etc/ssh/sshd_config.d/00-slipway.conf"
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


def settings(user: str) -> str:
    """With those who may come in at all: who provisions, root by key, and who operates."""
    return f"{SETTINGS}AllowUsers {' '.join(sorted({user, 'root', 'deploy'}))}\n"


# ssh.service: Debian's and Ubuntu's name. Connections that are open stay so.
RELOAD = ("systemctl", "reload-or-restart", "ssh.service")
# A line before the Include in sshd_config would win over ours.
CHECK = """/usr/sbin/sshd -t || exit 1
/usr/sbin/sshd -T | grep -qx 'passwordauthentication no' && exec "$@"
echo '/etc/ssh/sshd_config allows passwords in a line before its Include: take it out' >&2
exit 1
"""
CHECK_AND_RELOAD = ("sh", "-c", CHECK, "reload", *RELOAD)


def apply(fleet: Fleet, server: Server) -> None:
    step("ssh", _sshd, server)


@operation()
def _sshd(server: Server) -> Acts:
    line: Line = host.data.line
    file = File(PATH, settings(server.user), mode="600", check=("/usr/sbin/sshd", "-t", "-f"))
    risky = Risky("slipway-revert-ssh", file, "reload sshd", CHECK_AND_RELOAD, RELOAD)
    for number, command in enumerate(guarded(risky, logins=(server.user, "deploy"))):
        if not number:
            # Before anything is made stricter: people's own way in.
            yield Check("try to come in as deploy", lambda: _lets_in(line))
        yield command


def _lets_in(line: Line) -> None:
    try:
        can_log_in(line, "deploy")
    except Failed as failure:
        raise Failed(
            f"{failure}\nNone of the keys that your ssh offers is in `keys` of deploy/servers.toml:"
            " add yours (ssh-add -L shows it). SSH is as it was"
        ) from None
