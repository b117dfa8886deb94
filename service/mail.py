"""Mail: by SMTP where there is an SMTP_URL; else into a folder in development, or into the log.

Send mail from a job only: a server may take its time. A mail cannot be exactly once: whoever
dies between the server's answer and the commit sends it again, and so does who waited for that
answer in vain. It has the same Message-ID then, so that mailboxes may tell.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import structlog
from flask import Flask, current_app
from pydantic import SecretStr

from service import claims
from service.environment import ROOT
from service.settings import Settings, settings
from service.sources import SettingsError

log = structlog.get_logger()

TIMEOUT = 10  # seconds that each step with the server may take
# Seconds for the last one: a server that answers late has taken the mail, and who does not wait
# sends it again (https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.2.6). Give the job longer.
PATIENCE = 60
FOLDER = ROOT / ".dev" / "mail"


class Post(Protocol):
    """What takes a message (an EmailMessage) on its way."""

    def __call__(self, message: Any) -> None: ...


def send(to: str, subject: str, text: str) -> None:
    """Send a mail. Raises OSError or SMTPException, for the job to be tried again."""
    from email.message import EmailMessage  # with smtplib 30 ms, that only a worker pays
    from email.utils import formatdate, make_msgid

    found = claims.current.get()
    message = EmailMessage()
    message["From"] = settings().mail_from
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = formatdate()
    domain = message["From"].rpartition("@")[2]
    message["Message-ID"] = f"<{found.id}@{domain}>" if found else make_msgid(domain=domain)
    message.set_content(text)
    current_app.extensions["mail"](message)


class Smtp:
    """A server, by smtp:// (STARTTLS where it offers that) or smtps://."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url

    def __call__(self, message: Any) -> None:
        import smtplib
        import ssl

        parts, context = urlsplit(self._url.get_secret_value()), ssl.create_default_context()
        host = parts.hostname or ""
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, parts.port or 465, timeout=TIMEOUT, context=context
            )
        else:
            server = smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT)
        try:
            if parts.scheme == "smtp":
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=context)
                elif parts.username and host not in ("localhost", "127.0.0.1", "::1"):
                    raise OSError("the server offers no STARTTLS: it does not get the password")
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            assert server.sock is not None
            server.sock.settimeout(PATIENCE)
            server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:  # whose text has the address
            codes = sorted({code for code, _ in error.recipients.values()})
            raise smtplib.SMTPException(f"the server refused the recipient: {codes}") from None
        finally:
            server.close()  # without QUIT, whose answer changes nothing
        log.info("mail sent", subject=message["Subject"])


class Folder:
    """A file for each mail, for developers to look at."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, message: Any) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.eml"
        (self._path / name).write_bytes(message.as_bytes())
        log.info("mail written", file=f".dev/mail/{name}", subject=message["Subject"])


def to_log(message: Any) -> None:
    """Where there is no server: say that there was a mail, and not to whom or what it said."""
    log.warning("mail not sent: there is no SMTP_URL", subject=message["Subject"])


def require(feature: str) -> None:
    """Declare, in the feature's `__init__`, that it is of no use without mail: then a start in
    production without an SMTP_URL is refused."""
    _required_by.append(feature)


_required_by: list[str] = []


def make_post(settings: Settings) -> Post:
    """Raises SettingsError without an SMTP_URL where a feature requires it."""
    if settings.smtp_url is None and _required_by and settings.is_production:
        who = ", ".join(_required_by)
        raise SettingsError([("SMTP_URL", f"is required by {who}: smtp://USER:PASSWORD@HOST:587")])
    if settings.smtp_url is not None:
        return Smtp(settings.smtp_url)
    return Folder(FOLDER) if settings.app_env == "development" else to_log


def init_app(app: Flask, settings: Settings) -> None:
    app.extensions["mail"] = make_post(settings)
