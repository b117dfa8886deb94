"""testssl.sh, asked about a server, and what of its answer counts.

Runs where it is installed (Debian: testssl.sh), which may be a server of the lab.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

PROGRAM = "testssl"  # as Debian calls it
WORSE_THAN_LOW = ("MEDIUM", "HIGH", "CRITICAL")
# Of a certificate that is self-signed: there is nobody who could revoke it.
SELF_SIGNED = ("cert_revocation",)


class Finding(NamedTuple):
    id: str
    severity: str
    finding: str


def command(domain: str, address: str, report: str, authority: str | None = None) -> list[str]:
    """The words that write a report: `authority` is a file with the certificate to be trusted."""
    trust = ["--add-ca", authority] if authority else []
    return [
        *(PROGRAM, "--quiet", "--warnings", "batch", "--color", "0", "--overwrite"),
        *("--ip", address, *trust, "--jsonfile", report, f"https://{domain}"),
    ]


def findings(report: str) -> list[Finding]:
    """Of the JSON that it wrote. Raises AssertionError if it did not get to the end."""
    found = [Finding(each["id"], each["severity"], each["finding"]) for each in json.loads(report)]
    ids = {each.id for each in found}
    # Without these it has not looked: a report that is cut short has nothing bad in it.
    missing = {"TLS1_3", "cert_chain_of_trust", "HSTS_time", "scanTime"} - ids
    assert not missing, f"testssl did not come to its end: no {', '.join(sorted(missing))}"
    assert not [each for each in found if each.severity == "FATAL"], found
    return found


def worse_than_low(found: Iterable[Finding], allowed: Iterable[str] = ()) -> list[Finding]:
    return [
        each for each in found if each.severity in WORSE_THAN_LOW and each.id not in set(allowed)
    ]
