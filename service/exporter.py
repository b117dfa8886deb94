"""/metrics of worker and scheduler, which serve nothing else: on METRICS_PORT, if it is set.

Nothing to change here. The token is that of web's /metrics.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST

from service import metrics
from service.settings import Settings


def make_server(settings: Settings, port: int) -> ThreadingHTTPServer:
    """A server that listens on all addresses. Raises OSError if the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            status, body = 200, b""
            if self.path != "/metrics" or (
                settings.metrics_token is None and settings.is_production
            ):
                status = 404
            elif not metrics.is_allowed(settings, self.headers.get("Authorization", "")):
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

    return ThreadingHTTPServer(("", port), Handler)  # "": all of IPv4


def serve_in_background(settings: Settings) -> None:
    """For a process that does not fork."""
    if settings.metrics_port is not None:
        server = make_server(settings, settings.metrics_port)
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
