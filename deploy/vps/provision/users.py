"""Who is on a server: `deploy`, as whom people and CI come in, and `slipway`, as whom the service
runs; what they may do, and with which keys."""

from functools import partial

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision.entries import Entry, File, Folder
from deploy.vps.provision.facts import Said
from deploy.vps.provision.operations import Act, Acts, files, step
from deploy.vps.provision.system import MADE
from deploy.vps.servers import Fleet

# Nothing else: slipway-root takes a handful of words, and checks each.
SUDOERS = MADE + (
    "Defaults:deploy env_reset, !requiretty, secure_path=/usr/sbin:/usr/bin:/sbin:/bin\n"
    "deploy ALL=(slipway) NOPASSWD: ALL\n"
    "deploy ALL=(root) NOPASSWD: /usr/local/sbin/slipway-root\n"
)
CI = 'restrict,command="/usr/local/bin/slipway ssh" '
# A password of "*" lets nobody in by it; "!" is a locked account to some sshd, keys included.
ADD = {
    "slipway": (
        "useradd --system --user-group --home-dir /nonexistent --no-create-home"
        " --shell /usr/sbin/nologin slipway"
    ),
    "deploy": ("useradd --user-group --create-home --shell /bin/bash --password * deploy"),
}
GROUPS = {"deploy": ("slipway", "systemd-journal", "adm")}


def apply() -> None:
    step("users", _accounts)
    step("users", files, user_files())


@operation()
def _accounts() -> Acts:
    for user, command in ADD.items():
        said = host.get_fact(Said, asked=["id", "-nG", user])
        groups = {group for line in said for group in line.split()}
        if not groups:
            yield Act(f"add user {user}", command.split())
        if missing := [group for group in GROUPS.get(user, ()) if group not in groups]:
            says = f"put {user} into {', '.join(missing)}"
            yield Act(says, ["usermod", "--append", "--groups", ",".join(missing), user])


def user_files() -> list[Entry]:
    folder = partial(Folder, owner="deploy", group="deploy")
    return [
        File("/etc/sudoers.d/slipway", SUDOERS, mode="440", check=("visudo", "-cqf")),
        folder("/home/deploy", mode="750"),
        folder("/home/deploy/.ssh", mode="700", by="deploy"),
    ]


def authorized_keys(fleet: Fleet) -> str:
    """Operators may do all that deploy may; CI's keys get what `slipway ssh` lets them."""
    lines = [*fleet.keys, *(CI + key for key in fleet.ci_keys)]
    return MADE + "".join(f"{line}\n" for line in lines)
