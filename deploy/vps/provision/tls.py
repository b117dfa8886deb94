"""The certificate of who takes the users' requests: self-signed, or Let's Encrypt's by certbot.

nginx needs one to start at all, and certbot needs nginx: so there is a self-signed one first
(`apply`, before nginx), in whose place the other one comes (`issue`, after it).
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
# Let's Encrypt's lives for 90 days, and is certbot's to renew, however few are left.
ANY_AGE = ("--any-age",)
TIMER = "slipway-certificate.timer"


def apply(fleet: Fleet, server: Server) -> None:
    """Some certificate, so that nginx starts."""
    if server != fleet.front or fleet.tls == "none":
        return
    step("tls", files, entries(fleet))
    step("tls", _self_signed, ANY_AGE if fleet.tls == "letsencrypt" else ())
    if fleet.tls == "self-signed":
        step("tls", units, [TIMER])


def issue(fleet: Fleet, server: Server) -> None:
    """Let's Encrypt's, which looks for a file at port 80 of the domain."""
    if server == fleet.front and fleet.tls == "letsencrypt":
        step("tls", _lets_encrypt, fleet.domain, str(fleet.email))
        step("tls", units, ["certbot.timer"], (), [TIMER])


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
    found += [Folder(str(each)) for each in (hook.parents[1], hook.parent, Path(WEBROOT))]
    return [*found, File(HOOK, (HERE / "certbot-hook.sh").read_text(), mode="755")]


@operation()
def _self_signed(options: Sequence[str]) -> Acts:
    if host.get_fact(Said, asked=[PROGRAM, *options, "--check"]) != ["holds"]:
        yield Act("make a self-signed certificate", [PROGRAM, *options])


@operation()
def _lets_encrypt(domain: str, email: str) -> Acts:
    """certbot's timer renews it; what is there is not asked for again, as that is rationed."""
    lineage = f"{LETS_ENCRYPT}/live/{domain}"
    theirs, ours = f"{lineage}/fullchain.pem", f"{FOLDER}/fullchain.pem"
    found = host.get_fact(Paths, paths=[theirs, ours])
    if theirs not in found:
        says = f"get a certificate for {domain}, which has to lead here, from Let's Encrypt"
        yield Act(says, certbot(domain, email))
    if theirs not in found or ours not in found or found[theirs].digest != found[ours].digest:
        yield Act("hand it to nginx", ["env", f"RENEWED_LINEAGE={lineage}", HOOK])


def certbot(domain: str, email: str) -> list[str]:
    return [
        *("certbot", "certonly", "--non-interactive", "--agree-tos", "--no-eff-email"),
        *("--email", email, "--webroot", "--webroot-path", WEBROOT),
        *("--cert-name", domain, "--domain", domain, "--key-type", "ecdsa"),
    ]
