"""SeaweedFS out of a wheel: an S3 server that, unlike moto, verifies signatures and policies."""

import http.client
import json
import signal
import sys
import tempfile
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from urllib.request import Request, urlopen

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from service.devserver import Server
from tests.ports import free_port

BUCKET = "uploads-of-tests"
REGION = "us-east-1"
KEY_ID = "AKIDOFTESTS"
SECRET = "the secret key of the tests"

# All of its parts in one process, each on two ports.
PARTS = ("master", "volume", "filer", "s3")


class Seaweed(Server):
    """An S3 server on 127.0.0.1 with one bucket and one key. Nothing it holds is worth keeping."""

    name = "SeaweedFS"
    program = "weed"
    stop_signal = signal.SIGKILL  # it takes 20 s to stop in order

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ports = {name: free_port() for part in PARTS for name in (part, f"{part}.grpc")}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3']}"

    def start(self) -> None:
        super().start()
        make_bucket(self.url)

    def stop(self) -> None:
        super().stop()
        for socket in self._sockets():
            socket.unlink(missing_ok=True)

    def _command(self) -> list[str]:
        options = {
            "dir": self.data,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "filer": "true",
            "s3": "true",
            "s3.config": self._config(),
            "s3.port.iceberg": 0,
            "master.telemetry": "false",
            "master.raftHashicorp": "true",  # the default waits 10 s at times for its own vote
            "master.raftBootstrap": "true",
            "master.volumeSizeLimitMB": 16,
            **{self._option(name): port for name, port in self.ports.items()},
        }
        weed = Path(sys.executable).with_name("weed")
        return [str(weed), "-logtostderr", "server", *(f"-{k}={v}" for k, v in options.items())]

    def _prepare(self) -> None:
        self.data.mkdir()
        key = {"accessKey": KEY_ID, "secretKey": SECRET}
        identity = {"name": "service", "credentials": [key], "actions": ["Admin", "Read", "Write"]}
        self._config().write_text(json.dumps({"identities": [identity]}))
        self.data.chmod(0o777)  # it runs as nobody if we are root

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["s3"], timeout=2)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/")
            return connection.getresponse().status == 403  # it wants a signature
        return False

    def _pid_file(self) -> Path:
        return self.folder / "server.pid"

    def _config(self) -> Path:
        return self.folder / "s3.json"

    def _option(self, name: str) -> str:
        part, _, grpc = name.partition(".")
        return f"{part}.port.grpc" if grpc else f"{part}.port"

    def _sockets(self) -> Iterable[Path]:
        for port in self.ports.values():
            yield from Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock")


def make_bucket(url: str) -> None:
    request = AWSRequest("PUT", f"{url}/{BUCKET}")
    S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", REGION).add_auth(request)
    with urlopen(Request(request.url, method="PUT", headers=dict(request.headers))) as response:
        assert response.status == 200
