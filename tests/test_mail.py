"""Mail, sent to a real SMTP server, and what there is in its place."""

import asyncio
import smtplib
import ssl
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from flask import Flask
from pydantic import SecretStr

from service import mail
from service.mail import Folder, Smtp, make_post, to_log
from service.settings import Settings
from service.sources import SettingsError
from tests.logged import logged
from tests.ports import free_port
from tests.smtp import MailServer

# aiosmtpd warns of a server that takes passwords without TLS, which is what a test wants.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Requiring AUTH while not requiring TLS", "ignore:Session.login_data is deprecated"
)

CERTIFICATE = Path(__file__).with_name("localhost.pem")
PASSWORD = "p@ss w/rd"


class Box:
    """What a server has taken; it refuses mail to nobody@example.com."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.pause = 0.0  # seconds before it says that it has taken one

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:
        await asyncio.sleep(self.pause)
        self.messages.append(
            (envelope.rcpt_tos, message_from_bytes(envelope.content, policy=default))
        )
        return "250 OK"


def authenticate(_: Any, __: Any, ___: Any, ____: str, data: Any) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (
        b"service",
        PASSWORD.encode(),
    )
    return AuthResult(success=known, handled=known)


def served(**options: Any) -> Iterator[tuple[Box, int]]:
    box = Box()
    with MailServer(box, free_port(), **options) as server:
        yield box, server.port


@pytest.fixture
def open_server() -> Iterator[tuple[Box, int]]:
    yield from served()


@pytest.fixture
def closed_server() -> Iterator[tuple[Box, int]]:
    """One that wants a password."""
    yield from served(authenticator=authenticate, auth_required=True, auth_require_tls=False)


@pytest.fixture
def tls_server() -> Iterator[tuple[Box, int]]:
    """One whose certificate nobody has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    yield from served(tls_context=context)


def send(app: Flask, url: str, to: str = "dora@example.com") -> None:
    with app.app_context():
        app.extensions["mail"] = Smtp(SecretStr(url))
        mail.send(to, "Grüße", "Hello Dora,\n\nwelcome.\n")


@pytest.fixture(autouse=True)
def _put_back(app: Flask) -> Iterator[None]:
    before = app.extensions["mail"]
    yield
    app.extensions["mail"] = before


def test_a_mail_arrives_as_it_was_written(app: Flask, open_server: tuple[Box, int]) -> None:
    box, port = open_server
    send(app, f"smtp://127.0.0.1:{port}")
    ((to, message),) = box.messages
    assert (to, message["To"], message["Subject"]) == (
        ["dora@example.com"],
        "dora@example.com",
        "Grüße",
    )
    assert message["From"] == "service@localhost"
    assert message.get_content().replace("\r", "") == "Hello Dora,\n\nwelcome.\n"


def test_a_server_is_given_its_password(app: Flask, closed_server: tuple[Box, int]) -> None:
    box, port = closed_server
    send(app, f"smtp://service:p%40ss%20w%2Frd@127.0.0.1:{port}")
    assert len(box.messages) == 1
    with pytest.raises(smtplib.SMTPAuthenticationError):
        send(app, f"smtp://service:wrong@127.0.0.1:{port}")


def test_a_certificate_that_nobody_has_signed_is_refused(
    app: Flask, tls_server: tuple[Box, int]
) -> None:
    box, port = tls_server
    with pytest.raises(ssl.SSLCertVerificationError):
        send(app, f"smtp://127.0.0.1:{port}")
    assert box.messages == []


def test_an_address_that_the_server_does_not_know_is_an_error(
    app: Flask, open_server: tuple[Box, int]
) -> None:
    _, port = open_server
    with pytest.raises(smtplib.SMTPException, match=r"refused the recipient: \[550\]") as refused:
        send(app, f"smtp://127.0.0.1:{port}", to="nobody@example.com")
    assert "nobody@" not in str(refused.value)


def test_a_server_that_takes_its_time_gets_a_mail_once(
    app: Flask, open_server: tuple[Box, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, port = open_server
    monkeypatch.setattr(mail, "TIMEOUT", 3)
    box.pause = 3.5
    send(app, f"smtp://127.0.0.1:{port}")
    assert len(box.messages) == 1


def test_a_server_that_is_down_is_an_error(app: Flask) -> None:
    for scheme in ("smtp", "smtps"):
        with pytest.raises(OSError, match="refused"):
            send(app, f"{scheme}://127.0.0.1:1")


def test_nobody_can_smuggle_in_a_header(app: Flask, open_server: tuple[Box, int]) -> None:
    box, port = open_server
    with pytest.raises(ValueError, match="linefeed"):
        send(app, f"smtp://127.0.0.1:{port}", to="a@example.com\nBcc: b@example.com")
    assert box.messages == []


def test_in_development_it_is_a_file(app: Flask, tmp_path: Path) -> None:
    with app.app_context():
        app.extensions["mail"] = Folder(tmp_path / "mail")
        mail.send("dora@example.com", "Hello", "welcome")
        mail.send("dora@example.com", "Hello again", "welcome")
    files = sorted((tmp_path / "mail").glob("*.eml"))
    subjects = [message_from_bytes(file.read_bytes())["Subject"] for file in files]
    assert subjects == ["Hello", "Hello again"]


def test_without_a_server_the_log_says_that_there_was_one_and_not_to_whom(app: Flask) -> None:
    with app.app_context(), logged(mail) as events:
        app.extensions["mail"] = to_log
        mail.send("dora@example.com", "Hello", "the text")
    assert events[0]["event"] == "mail not sent: there is no SMTP_URL"
    assert "dora" not in str(events) and "the text" not in str(events)


def test_which_of_them_it_is_the_settings_say(settings: Settings) -> None:
    def kind(**changes: Any) -> Any:
        return make_post(settings.model_copy(update=changes))

    assert kind(app_env="production") is kind(app_env="test") is to_log
    assert isinstance(kind(app_env="development"), Folder)
    assert isinstance(kind(app_env="production", smtp_url=SecretStr("smtp://h")), Smtp)


def test_a_feature_may_require_mail(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    production = settings.model_copy(update={"app_env": "production"})
    assert make_post(production) is to_log
    monkeypatch.setattr(mail, "_required_by", [])
    mail.require("billing")
    with pytest.raises(SettingsError, match="SMTP_URL  is required by billing"):
        make_post(production)
    assert make_post(settings) is to_log
    url = SecretStr("smtp://mail.example.com")
    assert isinstance(make_post(production.model_copy(update={"smtp_url": url})), Smtp)
