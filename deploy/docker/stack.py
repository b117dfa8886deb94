"""How each step of a release is spelt: lists of words for Docker's CLI. Nothing is run here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.environment import ROOT, environment

NAME = "slipway"  # as in compose.yaml
FILES = ("compose.yaml", "compose.production.yaml")
COLOURS = ("blue", "green")
NGINX_IMAGE = "nginx:1.30-alpine"  # as in compose.yaml: it has a shell, tar and cat
EDGE = "/etc/nginx"  # where nginx sees the volume that holds its configuration


@dataclass(frozen=True)
class Image:
    """An image by its content, whatever becomes of the tag that it was named by."""

    name: str
    id: str
    version: str  # COMMIT_SHA


def other(colour: str) -> str:
    return COLOURS[1 - COLOURS.index(colour)]


@dataclass(frozen=True)
class Stack:
    """The compose project on the host that `docker` speaks to (DOCKER_HOST)."""

    project: str = field(default_factory=lambda: environment().get("COMPOSE_PROJECT_NAME", NAME))
    hand: str = ""  # the id of the container that is our lock, while we hold it

    def compose(self, *words: str) -> list[str]:
        files = [word for name in FILES for word in ("--file", str(ROOT / name))]
        options = ("--ansi", "never", "--progress", "plain", "--project-name", self.project)
        return ["docker", "compose", *options, *files, *words]

    def environment(self, images: Mapping[str, Image]) -> dict[str, str]:
        """What compose.production.yaml asks for: an image for each colour, IMAGE for the rest."""
        found = {**environment(), "IMAGE": images["rest"].id}
        for colour in COLOURS:
            if image := images.get(colour):
                found[f"{colour.upper()}_IMAGE"] = image.id
                found[f"{colour.upper()}_NAME"] = image.name
        return found

    # The volume with nginx's configuration and the log; the lock is our hand on it.

    @property
    def volume(self) -> str:
        return f"{self.project}_edge"

    @property
    def lock(self) -> str:
        """The container that is the lock: its name is taken while a release runs."""
        return f"{self.project}-release"

    def make_volume(self) -> list[str]:
        """With Compose's own labels, so that it takes it for its own."""
        labels = {"project": self.project, "volume": "edge"}
        given = [f"--label=com.docker.compose.{name}={value}" for name, value in labels.items()]
        return ["docker", "volume", "create", *given, self.volume]

    def take_lock(self, who: str) -> list[str]:
        """Says its id, and lives until its standard input ends: so no longer than the one who
        holds it, be that over SSH."""
        return [
            *("docker", "run", "--interactive", "--rm", "--name", self.lock),
            *("--label", f"released-by={who}", "--network", "none", "--user", "0"),
            *("--volume", f"{self.volume}:/edge", "--entrypoint", "sh", NGINX_IMAGE),
            *("-c", "hostname; exec cat"),
        ]

    def holder(self) -> list[str]:
        about = '{{index .Config.Labels "released-by"}} since {{.Created}}'
        return ["docker", "inspect", "--format", about, self.lock]

    def in_lock(self, *words: str) -> list[str]:
        """By its id: who has lost the lock must not go on in somebody else's."""
        return ["docker", "exec", "--interactive", self.hand, *words]

    def look(self, script: str) -> list[str]:
        """A line of shell that reads the volume, without the lock."""
        return [
            *("docker", "run", "--rm", "--network", "none", "--volume", f"{self.volume}:/edge:ro"),
            *("--entrypoint", "sh", NGINX_IMAGE, "-c", script),
        ]

    # Containers.

    def containers(self, service: str, *, running: bool = False) -> list[str]:
        """Ids, one a line; without those of `docker compose run`."""
        of = {"project": self.project, "service": service, "oneoff": "False"}
        filters = [
            f"--filter=label=com.docker.compose.{name}={value}" for name, value in of.items()
        ]
        state = "--filter=status=running" if running else "--all"
        return ["docker", "ps", "--quiet", "--no-trunc", state, *filters]

    def stateful(self) -> list[str]:
        """What holds data is started, and never replaced by a release."""
        return self.compose("up", "--detach", "--no-recreate", "--wait", "postgres", "redis")

    def psql(self) -> list[str]:
        """As the superuser, by the socket; SQL comes on standard input."""
        psql = ("psql", "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "-U", "postgres")
        return self.compose("exec", "--no-TTY", "postgres", *psql, "-d", "service")

    def migrate(self) -> list[str]:
        return self.compose("run", "--rm", "--no-deps", "--no-TTY", "migrate")

    def start(self, colour: str, replicas: int) -> list[str]:
        service = f"web-{colour}"
        options = ("--detach", "--no-build", "--no-deps")
        return self.compose("up", *options, "--scale", f"{service}={replicas}", service)

    def start_again(self, colour: str, replicas: int) -> list[str]:
        """The containers as they were, and more of them if more are wanted."""
        service = f"web-{colour}"
        options = ("--detach", "--no-build", "--no-deps", "--no-recreate")
        return self.compose("up", *options, "--scale", f"{service}={replicas}", service)

    def stop(self, colour: str) -> list[str]:
        """Within stop_grace_period, what is under way is finished; the containers stay."""
        return self.compose("stop", f"web-{colour}")

    def replace_workers(self) -> list[str]:
        """Each has stop_grace_period to finish its jobs, or to give them back to the queue. Also
        if the image is the same: a secret may be another."""
        options = ("--detach", "--no-build", "--no-deps", "--force-recreate")
        return self.compose("up", *options, "worker", "scheduler")

    def states(self, containers: Sequence[str]) -> list[str]:
        """running/healthy/0 is one that is well: the last is how often it was started again."""
        health = "{{if .State.Health}}{{.State.Health.Status}}{{end}}"
        about = f"{{{{.State.Status}}}}/{health}/{{{{.RestartCount}}}}"
        return ["docker", "inspect", "--format", about, *containers]

    def last_words(self, service: str) -> list[str]:
        return self.compose("logs", "--no-log-prefix", "--tail", "8", service)

    def smoke(self, container: str, url: str, version: str) -> list[str]:
        """deploy/smoke.py comes on standard input: it is not in the image."""
        # Of web only: the worker is still that of the release before.
        words = ("python", "-", url, "--commit", version, "--web-only")
        more = ("--timeout", "5", "--insecure")
        return ["docker", "exec", "--interactive", container, *words, *more]

    # nginx.

    def nginx_up(self) -> list[str]:
        return self.compose("up", "--detach", "--no-deps", "--wait", "nginx")

    def nginx_stop(self) -> list[str]:
        return self.compose("stop", "nginx")

    def nginx_check(self, container: str, name: str) -> list[str]:
        return ["docker", "exec", container, *_NGINX, f"{EDGE}/{name}/production.conf", "-t", "-q"]

    def nginx_reload(self, container: str) -> list[str]:
        about = (f"{EDGE}/current/production.conf", "-s", "reload")
        return ["docker", "exec", container, *_NGINX, *about]

    def processes(self, container: str) -> list[str]:
        return ["docker", "top", container, "-eo", "pid,args"]


_NGINX = ("nginx", "-c")


def servers_conf(colour: str, idle: str | None = None) -> str:
    """The upstream: the colour that is to serve, and one that nginx knows but does not ask."""
    server = "    server web-{}:8000 resolve max_fails=2 fail_timeout=2s{};\n"
    servers = server.format(colour, "") + (server.format(idle, " down") if idle else "")
    return f"""# Written by python -m deploy docker.
upstream web {{
    zone web 256k;
    least_conn;
{servers}    keepalive 64;
    keepalive_timeout 60s;
}}
"""
