"""`python -m service healthcheck web`: what a container's HEALTHCHECK runs instead of curl."""

import http.client
import sys

from service.settings import Settings

TIMEOUT = 5  # seconds


def run(settings: Settings, process: str) -> int:
    """0 if the process on this machine may get traffic; else 1, and why on stderr."""
    connection = http.client.HTTPConnection("localhost", settings.port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        body = response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        print(f"{process} does not answer on port {settings.port}: {error}", file=sys.stderr)
        return 1
    if response.status != 200:
        print(f"{process} is not ready: {body}", file=sys.stderr)
        return 1
    return 0
