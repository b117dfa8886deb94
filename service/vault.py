"""Secrets of a HashiCorp Vault, or of OpenBao: a key-value secret, of version 1 or 2.

Of the standard library, for it is two requests: hvac, the usual client, brings requests with it
and had no release in a year. https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
"""

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from service.stores import LONGEST, Denied, Store, StoreError, Unreachable, parsed

TIMEOUT = 3  # seconds of each step of a request
REDIRECTS = 2  # a standby may send us to the node that is active
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"
WAYS = "VAULT_TOKEN, VAULT_ROLE_ID with VAULT_SECRET_ID, or VAULT_ROLE (Kubernetes)"


class Login(NamedTuple):
    """What is sent where for a token, and whom that is for."""

    path: str
    who: str
    body: Mapping[str, str]


class Vault(NamedTuple):
    """A server, and how to sign in there: with a token, or by a login that gives one."""

    address: str
    namespace: str | None
    authority: str | None  # a file of certificates
    auth: str | Login

    @property
    def identity(self) -> tuple[str | None, ...]:
        way = self.auth[:2] if isinstance(self.auth, Login) else ()
        return (self.address, self.namespace, *way)


class Answer(NamedTuple):
    """A response: its status, and the data or the errors in it."""

    status: int
    body: dict[str, Any]

    @property
    def said(self) -> str:
        errors = self.body.get("errors") or ()
        words = " ".join(f"{self.status} {' '.join(map(str, errors))}".split())
        return words[:200]


# Tokens that logins gave, and when they end (monotonic seconds). Vault keeps each until then: one
# for a tree of processes, and not one for each time that we read.
_tokens: dict[tuple[str | None, ...], tuple[str, float]] = {}


def store(name: str, given: Mapping[str, str]) -> Store:
    """The secret MOUNT/PATH, by the variables VAULT_…. Raises StoreError."""
    mount, _, path = name.partition("/")
    vault = _server(given)
    where = f"vault://{mount}/{path} of {vault.address}"
    return Store(where, partial(_read, vault, mount, path), (*vault.identity, mount, path))


def _server(given: Mapping[str, str]) -> Vault:
    address = given.get("VAULT_ADDR", "").rstrip("/")
    if urlsplit(address).scheme not in ("https", "http") or not urlsplit(address).hostname:
        raise StoreError("is needed for vault://, as https://vault.example.com:8200", "VAULT_ADDR")
    authority = given.get("VAULT_CACERT")
    if authority and not Path(authority).is_file():
        raise StoreError(f"names no file: {authority}", "VAULT_CACERT")
    return Vault(address, given.get("VAULT_NAMESPACE"), authority, _auth(given))


def _auth(given: Mapping[str, str]) -> str | Login:
    token, role_id, role = map(given.get, ("VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_ROLE"))
    if sum(map(bool, (token, role_id, role))) != 1:
        raise StoreError(f"vault:// needs one way to sign in, and no more: {WAYS}")
    if token:
        return token
    mount = given.get("VAULT_AUTH_MOUNT", "").strip("/")
    if role_id:
        if not (secret_id := given.get("VAULT_SECRET_ID")):
            raise StoreError("is needed with VAULT_ROLE_ID", "VAULT_SECRET_ID")
        body = {"role_id": role_id, "secret_id": secret_id}
        return Login(f"auth/{mount or 'approle'}/login", role_id, body)
    jwt = _service_account(Path(given.get("VAULT_SERVICE_ACCOUNT") or SERVICE_ACCOUNT))
    assert role
    return Login(f"auth/{mount or 'kubernetes'}/login", role, {"role": role, "jwt": jwt})


def _service_account(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        message = f"cannot be read, which VAULT_ROLE needs: {file}: {reason}"
        raise StoreError(message, "VAULT_SERVICE_ACCOUNT") from None


def _read(vault: Vault, mount: str, path: str) -> Mapping[str, Any]:
    """What the secret holds. Raises StoreError."""
    if isinstance(vault.auth, str):
        return _secret(vault, vault.auth, mount, path)
    token, end = _tokens.get(vault.identity, ("", 0.0))
    if time.monotonic() < end:
        try:
            return _secret(vault, token, mount, path)
        except Denied:
            pass  # the token was revoked, perhaps: a new one shows
    return _secret(vault, _signed_in(vault, vault.auth), mount, path)


def _signed_in(vault: Vault, login: Login) -> str:
    """A new token. Raises StoreError."""
    answer = _ask(vault, "POST", login.path, None, login.body)
    if answer.status in (400, 403):  # 400: AppRole's, for an id that is wrong
        raise Denied(f"it refused the login at {login.path}: {answer.said}")
    given = _expect(answer, login.path).get("auth") or {}
    if not isinstance(given, dict) or not isinstance(token := given.get("client_token"), str):
        raise StoreError(f"its answer to {login.path} has no token")
    seconds = given.get("lease_duration")
    _tokens[vault.identity] = token, time.monotonic() + (seconds or 3600) * 0.9
    return token


def _secret(vault: Vault, token: str, mount: str, path: str) -> Mapping[str, Any]:
    """Of version 2, or else of 1, whose paths are shorter: a token that may read the one of them
    need not be allowed to ask which it is. Raises StoreError."""
    asked = f"{mount}/data/{path}"
    answer = _ask(vault, "GET", asked, token)
    if answer.status in (403, 404):
        older = _ask(vault, "GET", f"{mount}/{path}", token)
        if older.status == HTTPStatus.OK:
            return _object(older.body.get("data"))
    if answer.status == 403:
        raise Denied(f"it denied to read {asked}: {answer.said}")
    if answer.status == 404:
        deleted = answer.body.get("data")
        raise StoreError(f"there is no {asked}{': it was deleted' if deleted else ''}")
    data = _object(_expect(answer, asked).get("data"))
    return _object(data.get("data"))


def _object(found: object) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise StoreError("its answer has no data")
    return found


def _expect(answer: Answer, asked: str) -> dict[str, Any]:
    if answer.status != HTTPStatus.OK:
        raise StoreError(f"it answered {asked} with {answer.said}")
    return answer.body


def _ask(
    vault: Vault, method: str, path: str, token: str | None, body: Mapping[str, str] | None = None
) -> Answer:
    """Raises Unreachable, and StoreError for an answer that is none of Vault's."""
    headers = {"X-Vault-Request": "true"}  # an agent in between may insist on it
    if token:
        headers["X-Vault-Token"] = token
    if vault.namespace:
        headers["X-Vault-Namespace"] = vault.namespace
    url = f"{vault.address}/v1/{quote(path)}"
    for _ in range(1 + REDIRECTS):
        status, raw, location = _request(vault, method, url, headers, json.dumps(body or {}))
        if status not in (307, 308):
            break
        if urlsplit(location).scheme != urlsplit(url).scheme:  # nor to where it would be in clear
            raise StoreError("it sends us elsewhere, to another scheme")
        url = location
    # https://developer.hashicorp.com/vault/api-docs#http-status-codes; 412: this node lags behind
    if status in (412, 429) or status >= 500:
        raise Unreachable(f"it answered {Answer(status, _errors(raw)).said}")
    if status >= 400:
        return Answer(status, _errors(raw))
    return Answer(status, parsed(raw))


def _errors(raw: bytes) -> dict[str, Any]:
    try:
        return parsed(raw)
    except StoreError:  # of what stands in between, whose words nobody knows
        return {}


def _request(
    vault: Vault, method: str, url: str, headers: Mapping[str, str], body: str
) -> tuple[int, bytes, str]:
    """Status, body and where we are sent. Raises Unreachable."""
    parts = urlsplit(url)
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=vault.authority)
            made: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.netloc, timeout=TIMEOUT, context=context
            )
        else:
            made = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT)
        with closing(made) as connection:
            connection.request(method, parts.path, body if method == "POST" else None, headers)
            response = connection.getresponse()
            return response.status, response.read(LONGEST), response.getheader("Location", "")
    except ssl.SSLCertVerificationError as error:
        raise StoreError(f"its certificate is not valid: {error.verify_message}") from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(str(error) or type(error).__name__) from None
