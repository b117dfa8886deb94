"""A stand-in for HashiCorp Vault: its HTTP API as far as the documentation says what we use of it.

Vault itself is in no wheel. What it answers is written after these pages, and no more is known:
https://developer.hashicorp.com/vault/api-docs (statuses, headers, errors), below it secret/kv/kv-v1
and kv-v2, auth/approle and auth/kubernetes.
"""

import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

ROLE_ID, SECRET_ID = "role-7f3a", "secret-id-91c2"
ROLE, SERVICE_ACCOUNT = "slipway", "a.pods.token"
ROOT_TOKEN = "hvs.token-of-an-agent"

Answer = tuple[int, dict[str, Any]]


class Vault(ThreadingHTTPServer):
    """Holds secrets by path; `kv` is mounted with version 2 and `old` with version 1."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        self.secrets: dict[str, dict[str, Any] | None] = {}  # None: it was deleted
        self.tokens = {ROOT_TOKEN}
        self.lease = 3600  # seconds of the tokens that logins give
        self.namespace: str | None = None
        self.asked: list[str] = []
        self.faults: list[int | bytes | float] = []  # what is answered instead, once each

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> Answer:
        if headers.get("X-Vault-Namespace") != self.namespace:
            return 404, {"errors": ["no handler for route"]}
        if path.startswith("auth/") and method == "POST":
            return self._login(path, body)
        if headers.get("X-Vault-Token") not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        mount, _, rest = path.partition("/")
        if mount == "kv":
            return self._version_2(rest)
        if mount == "old" and not rest.startswith("data/"):
            return self._version_1(rest)
        return 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}

    def _login(self, path: str, body: Any) -> Answer:
        known = {
            "auth/approle/login": {"role_id": ROLE_ID, "secret_id": SECRET_ID},
            "auth/kubernetes/login": {"role": ROLE, "jwt": SERVICE_ACCOUNT},
            "auth/cluster-7/login": {"role": ROLE, "jwt": SERVICE_ACCOUNT},
        }
        if path not in known:
            return 403, {"errors": ["permission denied"]}
        if body != known[path]:
            of_approle = "approle" in path
            said = "invalid role or secret ID" if of_approle else "permission denied"
            return (400 if of_approle else 403), {"errors": [said]}
        self.tokens.add(token := f"hvs.{uuid4().hex}")
        about = {"client_token": token, "lease_duration": self.lease, "renewable": True}
        return 200, {"auth": about, "data": None, "lease_id": ""}

    def _version_2(self, path: str) -> Answer:
        prefix, _, name = path.partition("/")
        if prefix != "data":
            said = "Invalid path for a versioned K/V secrets engine."
            return 404, {"errors": [], "warnings": [said]}
        if name not in self.secrets:
            return 404, {"errors": []}
        data = self.secrets[name]
        about = {"version": 2, "destroyed": False, "deletion_time": "" if data else "2026-11-01"}
        return (200 if data else 404), {"data": {"data": data, "metadata": about}}

    def _version_1(self, name: str) -> Answer:
        if (data := self.secrets.get(name)) is None:
            return 404, {"errors": []}
        return 200, {"data": data, "lease_duration": 2764800, "renewable": False}


class Handler(BaseHTTPRequestHandler):
    server: Vault
    timeout = 20

    def do_GET(self) -> None:
        path = self.path.removeprefix("/v1/")
        self.server.asked.append(f"{self.command} {path}")
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        if self.server.faults:
            self._fail(self.server.faults.pop(0))
            return
        status, found = self.server.answer(self.command, path, self.headers, body)
        self._send(status, json.dumps(found).encode())

    do_POST = do_GET

    def _fail(self, fault: int | bytes | float) -> None:
        """A status, other bytes than expected, or silence for so many seconds."""
        if isinstance(fault, float):
            time.sleep(fault)
        elif isinstance(fault, bytes):
            self._send(200, fault)
        else:
            self._send(fault, b'{"errors": ["Vault is sealed"]}')

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 307:
            self.send_header("Location", f"{self.server.url}{self.path}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running(certificate: Path | None = None) -> Iterator[Vault]:
    """A server, on TLS if there is a certificate."""
    with Vault() as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            server.scheme = "https"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
