"""/metrics of worker and scheduler, which serve nothing else: on METRICS_PORT, if it is set.

Nothing to change here. The token is that of web's /metrics.
"""

import contextlib
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

from prometheus_client import CONTENT_TYPE_LATEST

from service import launcher, metrics, ports
from service.settings import Settings
from service.sources import SettingsError
from service.tokens import is_bearer


class Server(ThreadingHTTPServer):
    """Listens on every address of both families."""

    address_family = socket.AF_INET6 if ":" in ports.every_address() else socket.AF_INET

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)  # HTTPServer's own asks DNS for our name


def make_server(settings: Settings) -> Server | None:
    """Bound to METRICS_PORT; None without one. Raises SettingsError if it is taken."""
    if (port := settings.metrics_port) is None:
        return None

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            status, body = 200, b""
            if self.path != "/metrics" or (
                settings.metrics_token is None and settings.is_production
            ):
                status = 404
            elif not is_bearer(settings.metrics_token, self.headers.get("Authorization", "")):
                status = 401
            else:
                body = metrics.expose()
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST if body else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    try:
        return Server((ports.every_address(), port), Handler)
    except OSError as error:
        raise SettingsError([("METRICS_PORT", f"{port} cannot be had: {error.strerror}")]) from None


def serve_in_background(settings: Settings) -> None:
    """For a process that does not fork."""
    if (server := make_server(settings)) is not None:
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class Exporter:
    """A process that serves them, beside one that forks: a thread would not go well with that."""

    def __init__(self, settings: Settings) -> None:
        self._server = make_server(settings)
        self._rotation = settings.rotation
        self._pid = 0

    def is_missing(self) -> bool:
        """Whether it is wanted and not there: not yet, or it has died."""
        if self._pid and os.waitpid(self._pid, os.WNOHANG) != (0, 0):
            self._pid = 0
        return self._server is not None and not self._pid

    def start(self) -> None:
        assert self._server is not None
        parent = os.getpid()
        if pid := os.fork():
            self._pid = pid
            return
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # its parent ends it, after the last job
        launcher.die_with(parent, signal.SIGKILL)
        with contextlib.suppress(BaseException):
            if self._rotation:
                self._rotation.keep()
            self._server.serve_forever()
        os._exit(1)

    def stop(self) -> None:
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
