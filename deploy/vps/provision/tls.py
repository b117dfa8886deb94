"""The certificate of who takes the users' requests: self-signed, or Let's Encrypt's by certbot.

nginx needs one to start at all, and certbot needs nginx: so there is a self-signed one first
(`apply`, before nginx), in whose place the other one comes (`issue`, after it). Where nginx serves
another domain, that one's stays until certbot has the new one.
"""

from collections.abc import Sequence
from pathlib import Path

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploy.vps.provision.entries import Entry, File, Folder, Gone
from deploy.vps.provision.facts import Paths, Said
from deploy.vps.provision.operations import Act, Acts, files, step, units
from deploy.vps.servers import Fleet, Server

HERE = Path(__file__).resolve().parent
UNITS = HERE.parent / "units"
FOLDER = "/etc/slipway/tls"
PROGRAM = "/usr/local/sbin/slipway-certificate"
LETS_ENCRYPT = "/etc/letsencrypt"
HOOK = f"{LETS_ENCRYPT}/renewal-hooks/deploy/slipway"
WEBROOT = "/var/www/acme"
# Does nginx serve another domain than $1, with TLS? Then it answers certbot for any name.
SERVES_ANOTHER = f"""[ -s {FOLDER}/domain ] && [ "$(cat {FOLDER}/domain)" != "$1" ] || exit 0
grep -q 'include plain.conf;' /etc/nginx/site.conf && systemctl is-active nginx.service
"""
# certbot's is a link. $1 and $2 the files.
DIFFERS = '[ ! -e "$1" ] || cmp -s "$1" "$2" || echo differs'
# Let's Encrypt's lives for 90 days, and is certbot's to renew, however few are left.
ANY_AGE = ("--any-age",)
TIMER = "slipway-certificate.timer"


def rename(fleet: Fleet, server: Server) -> None:
    """Before the server is told of another domain than it serves: certbot's for that one. Fails
    while it does not lead here, and the old one goes on."""
    if server == fleet.front and fleet.tls == "letsencrypt":
        step("domain", files, [Folder(WEBROOT)])
        step("domain", _renamed, fleet.domain, str(fleet.email))


def apply(fleet: Fleet, server: Server) -> None:
    """Some certificate, so that nginx starts."""
    if server != fleet.front or fleet.tls == "none":
        return
    lets_encrypt = fleet.tls == "letsencrypt"
    step("tls", files, entries(fleet))
    if lets_encrypt:
        step("tls", _handed_over, fleet.domain)
    step("tls", _self_signed, ANY_AGE if lets_encrypt else ())
    on, off = (["certbot.timer"], [TIMER]) if lets_encrypt else ([TIMER], [])
    step("tls", units, on, (), off)


def issue(fleet: Fleet, server: Server) -> None:
    """Let's Encrypt's, which looks for a file at port 80 of the domain."""
    if server == fleet.front and fleet.tls == "letsencrypt":
        step("certificate", _lets_encrypt, fleet.domain, str(fleet.email))
        step("certificate", _handed_over, fleet.domain)


def entries(fleet: Fleet) -> list[Entry]:
    found: list[Entry] = [
        Folder("/etc/slipway"),
        Folder(FOLDER),
        File(f"{FOLDER}/domain", f"{fleet.domain}\n"),
        File(PROGRAM, (HERE / "certificate.sh").read_text(), mode="755"),
    ]
    for name in ("slipway-certificate.service", TIMER):
        found.append(File(f"/etc/systemd/system/{name}", (UNITS / name).read_text()))
    if fleet.tls == "self-signed":
        return [*found, Gone(HOOK)]
    hook = Path(HOOK)
    found += [Folder(str(each)) for each in (hook.parents[1], hook.parent)]
    return [*found, File(HOOK, (HERE / "certbot-hook.sh").read_text(), mode="755")]


@operation()
def _self_signed(options: Sequence[str]) -> Acts:
    if host.get_fact(Said, asked=[PROGRAM, *options, "--check"]) != ["holds"]:
        yield Act("make a self-signed certificate", [PROGRAM, *options])


@operation()
def _renamed(domain: str, email: str) -> Acts:
    if host.get_fact(Said, asked=["sh", "-c", SERVES_ANOTHER, "serves", domain]) == ["active"]:
        yield from _asked_for(domain, email)


@operation()
def _lets_encrypt(domain: str, email: str) -> Acts:
    yield from _asked_for(domain, email)


def _asked_for(domain: str, email: str) -> Acts:
    """certbot's timer renews it; what is there is not asked for again, as that is rationed."""
    lineage = _lineage(domain)
    if lineage not in host.get_fact(Paths, paths=[lineage]):
        says = f"get a certificate for {domain}, which has to lead here, from Let's Encrypt"
        yield Act(says, certbot(domain, email))


@operation()
def _handed_over(domain: str) -> Acts:
    theirs = _lineage(domain)
    look = ["sh", "-c", DIFFERS, "differs", theirs, f"{FOLDER}/fullchain.pem"]
    if host.get_fact(Said, asked=look) == ["differs"]:
        yield Act("hand it to nginx", ["env", f"RENEWED_LINEAGE={Path(theirs).parent}", HOOK])


def _lineage(domain: str) -> str:
    return f"{LETS_ENCRYPT}/live/{domain}/fullchain.pem"


def certbot(domain: str, email: str) -> list[str]:
    return [
        *("certbot", "certonly", "--non-interactive", "--agree-tos", "--no-eff-email"),
        *("--email", email, "--webroot", "--webroot-path", WEBROOT),
        *("--cert-name", domain, "--domain", domain, "--key-type", "ecdsa"),
    ]
