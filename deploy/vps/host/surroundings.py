"""The only reader of the environment here: who calls, and what commands are started with."""

import getpass
import os
from collections.abc import Mapping

# What commands that fetch need to get out by, and pip's own settings.
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TERM", "TZ")
_NETWORK = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy")
ASKED = "SSH_ORIGINAL_COMMAND"  # sshd sets it for a key that may not ask for anything
LOCK = "SLIPWAY_LOCK"  # the number of the open file that has the lock, for who is executed next


def variables() -> dict[str, str]:
    return dict(os.environ)


def clean() -> dict[str, str]:
    """For programs that are not ours. Without Git's variables, which name the quarantine of a
    push, and without Python's, which are for us."""
    names = (*_PASSED_ON, *_NETWORK, *map(str.upper, _NETWORK))
    found = {name: os.environ[name] for name in names if name in os.environ}
    return found | {name: text for name, text in os.environ.items() if name.startswith("PIP_")}


def forget() -> None:
    """Go on with nothing but what is known to do no harm."""
    ours = (LOCK, "SSH_CONNECTION", ASKED)
    kept = clean() | {name: text for name, text in os.environ.items() if name in ours}
    os.environ.clear()
    os.environ.update(kept)


def who(given: str | None, environ: Mapping[str, str] | None = None) -> str:
    """For the log: as it was said, else the user, and the address that they come from. What CI
    says of itself is put behind what is known of it; said again, it stays as it is."""
    environ = os.environ if environ is None else environ
    given = printable(given or "")
    user = environ.get("SUDO_USER") or environ.get("USER") or getpass.getuser()
    address = environ.get("SSH_CONNECTION", "").partition(" ")[0]
    if ASKED in environ:
        known = f"ci from {address}" if address else "ci"
        said_again = given == known or given.startswith(f"{known} (")
        return (given if said_again else f"{known} ({given[:100]})") if given else known
    return given or (f"{user} from {address}" if address else user)


def printable(text: str) -> str:
    """Without what would move the cursor of who reads it."""
    return "".join(each if each.isprintable() else "?" for each in text)


def take(name: str) -> str | None:
    """A variable, which is gone then."""
    return os.environ.pop(name, None)


def put(name: str, value: str) -> None:
    """A variable, for who is executed next."""
    os.environ[name] = value


def asked() -> str | None:
    """What somebody with a key of CI asked sshd for."""
    return os.environ.get(ASKED)
