"""What surrounds the processes on a platform: a network, PostgreSQL, Redis, and the front door."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.deploy.docker.site import docker, have, succeeds
from tests.ports import free_port
from tests.waiting import until

NAME = f"slipway-rehearsal-{os.getpid()}"  # several may run on one machine
HOST = "api.slipway.test"
NGINX = "nginx:1.30-alpine"
PASSWORD = "of-the-rehearsal"

# Of a platform's proxy: it keeps connections to us open for `idle` seconds, tries no request
# twice, adds who asks, and waits for `answers` seconds.
ROUTER = """
worker_processes 1;
pid /tmp/nginx.pid;
worker_shutdown_timeout 30s;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    upstream web {{
        {servers}
        keepalive 32;
        keepalive_timeout {idle:g}s;
    }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For "{forwards}";
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_next_upstream off;
    proxy_read_timeout {answers:g}s;
    proxy_connect_timeout 5s;
    keepalive_timeout 65s;
    keepalive_min_timeout 1s;
    server {{
        listen 80;
        location / {{ {plain} }}
    }}
    server {{
        listen 443 ssl;
        ssl_certificate /tls/cert.pem;
        ssl_certificate_key /tls/key.pem;
        location / {{ proxy_pass http://web; }}
    }}
}}
"""


class Lab:
    """PostgreSQL and Redis, with TLS and without, and a network; all gone after the `with`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slipway-rehearsal-"))
        self.port, self.redis_port = free_port(), free_port()  # on this machine

    def __enter__(self) -> Self:
        self._certificate()
        docker("network", "create", NAME)
        tls = f"{self.folder}:/tls:ro"
        docker(
            *("run", "--detach", "--network", NAME, "--name", f"{NAME}-database"),
            *("--publish", f"127.0.0.1:{self.port}:5432", "--volume", tls),
            *("--env", "POSTGRES_USER=service", "--env", f"POSTGRES_PASSWORD={PASSWORD}"),
            *("postgres:17-alpine", "-c", "fsync=off", "-c", "ssl=on"),
            *("-c", "ssl_cert_file=/tls/cert.pem", "-c", "ssl_key_file=/tls/database.key"),
        )
        docker(
            *("run", "--detach", "--network", NAME, "--name", f"{NAME}-redis"),
            *("--publish", f"127.0.0.1:{self.redis_port}:6379"),
            *("--volume", tls, "redis:8-alpine", "redis-server"),
            *("--requirepass", PASSWORD, "--tls-port", "6380", "--tls-auth-clients", "no"),
            *("--tls-cert-file", "/tls/cert.pem", "--tls-key-file", "/tls/redis.key"),
        )
        until(lambda: self._answers(), seconds=60)
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", "--volumes", f"{NAME}-database", f"{NAME}-redis", check=False)
        docker("network", "rm", NAME, check=False)
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        ready = ("pg_isready", "--quiet", "--host", "127.0.0.1")
        return succeeds("exec", f"{NAME}-database", *ready)

    def _certificate(self) -> None:
        """Self-signed, for the front door, PostgreSQL and Redis; each key for who may read it."""
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out cert.pem"
        more = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
        subprocess.run([*command.split(), *more], cwd=self.folder, check=True, capture_output=True)
        self.folder.chmod(0o755)
        for name, image in (("database", "postgres:17-alpine"), ("redis", "redis:8-alpine")):
            shutil.copy(self.folder / "key.pem", self.folder / f"{name}.key")
            user = "postgres" if name == "database" else "redis"
            give = f"chown {user} /tls/{name}.key && chmod 600 /tls/{name}.key"
            # By a container, as who runs the tests may be nobody who can give a file away.
            as_root = ("run", "--rm", "--user", "0", "--entrypoint", "sh")
            docker(*as_root, "--volume", f"{self.folder}:/tls", image, "-c", give)

    def new_database(self, name: str) -> None:
        words = ("psql", "--user", "service", "--quiet", "--command", f"CREATE DATABASE {name}")
        docker("exec", f"{NAME}-database", *words)

    def database(self, name: str) -> str:
        """As the platform's network has it, without a scheme."""
        return f"service:{PASSWORD}@{NAME}-database:5432/{name}"

    def redis(self, number: int, *, tls: bool) -> str:
        scheme, port = ("rediss", 6380) if tls else ("redis", 6379)
        return f"{scheme}://:{PASSWORD}@{NAME}-redis:{port}/{number}"

    def redis_outside(self, number: int) -> str:
        """Redis' URL on this machine."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.redis_port}/{number}"

    def outside(self, name: str) -> str:
        """The database's URL on this machine."""
        return f"postgresql://service:{PASSWORD}@127.0.0.1:{self.port}/{name}"


class Router:
    """The platform's front door: nginx, as strict as theirs, on a port of this machine."""

    def __init__(
        self, lab: Lab, forwards: str, idle: float, answers: float, redirects: bool
    ) -> None:
        have(NGINX)
        self.port = free_port()
        self.name = f"{NAME}-router"
        self._folder = lab.folder
        plain = f"return 308 https://{HOST}$request_uri;" if redirects else "proxy_pass http://web;"
        self._values = {"forwards": forwards, "idle": idle, "answers": answers, "plain": plain}

    def __enter__(self) -> Self:
        self._write([])
        docker(
            *("run", "--detach", "--network", NAME, "--network-alias", HOST, "--name", self.name),
            *("--publish", f"127.0.0.1:{self.port}:443", "--volume", f"{self._folder}:/tls:ro"),
            *("--user", "0", NGINX, "nginx", "-c", "/tls/router.conf", "-g", "daemon off;"),
        )
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", "--volumes", self.name, check=False)

    def route(self, addresses: Sequence[str]) -> None:
        """Send requests to these (IP:port) and to no others, from the moment that this returns."""
        self._write(addresses)
        before = self._workers()
        docker("exec", self.name, "nginx", "-c", "/tls/router.conf", "-s", "reload")
        until(lambda: self._workers() and not before & self._workers(), seconds=40)

    def _write(self, addresses: Sequence[str]) -> None:
        nobody = ["127.0.0.1:9"]
        servers = "\n        ".join(f"server {each} max_fails=0;" for each in addresses or nobody)
        text = ROUTER.format(servers=servers, **self._values)
        (self._folder / "router.conf").write_text(text)

    def _workers(self) -> set[str]:
        lines = docker("top", self.name, "-o", "pid,cmd").splitlines()
        return {line.split()[0] for line in lines if "worker process" in line}
