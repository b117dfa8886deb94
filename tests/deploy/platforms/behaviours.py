"""What each platform does at a deploy, as far as its documentation says: the facts, not the play.

The manifest says the rest: commands, variables, ports, health paths, grace. `shortened` waits of a
platform only make it harder for us. Sources: deploy/<target>/README.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Strategy = Literal["swap", "rolling", "gap"]


@dataclass(frozen=True)
class Behaviour:
    """A platform, as it treats processes of ours."""

    target: str
    # swap: all new ones start, get traffic when they are well, then the old ones stop.
    # rolling: one after the other. gap: the old ones stop first.
    strategy: Strategy
    builds: Literal["Dockerfile", "buildpack"] = "Dockerfile"
    instances: int = 2
    memory: str = "512m"  # of an instance of web
    sets: Mapping[str, str] = field(default_factory=dict)  # variables; {commit} is the version
    sets_port: bool = False  # PORT, to what the manifest says
    database: str = "postgresql://{}?sslmode=require"  # how its DATABASE_URL is spelt
    redis_tls: bool = False  # with a certificate that is self-signed
    signal: str = "SIGTERM"
    signals_all: bool = False  # every process of a container, not only the first
    signals_before_routing: float | None = None  # seconds for which traffic still comes after it
    health_host: str = "10.0.0.1"  # the Host header of its health checks
    healthy_within: float = 60  # seconds
    forwards: str = "$proxy_add_x_forwarded_for"  # the X-Forwarded-For that it hands on
    migrations: int = 1  # at the same time, one for each service that has it
    redirects: bool = True  # plain HTTP to HTTPS, by itself
    flags: tuple[str, ...] = ()  # of docker run: what its containers may not
    not_confirmed: str = ""


# Nothing writable but /tmp, no capabilities: what manifests ask for that can.
LEAST = (
    *("--read-only", "--tmpfs", "/tmp:size=64m", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
)
BEHAVIOURS = {
    each.target: each
    for each in (
        # target: heroku
        Behaviour(
            "heroku",
            "gap",
            builds="buildpack",
            instances=1,
            sets={
                "PORT": "24601",
                "DYNO": "web.1",
                "WEB_CONCURRENCY": "2",
                "WEB_CONCURRENCY_SET_BY": "heroku/python",
                "GUNICORN_CMD_ARGS": "--access-logfile -",
                "FORWARDED_ALLOW_IPS": "*",
                "PYTHONUNBUFFERED": "true",
                # Only with `heroku labs:enable runtime-dyno-metadata` and the same with
                # runtime-dyno-build-metadata, as deploy/heroku/README.md has it.
                "HEROKU_BUILD_COMMIT": "{commit}",
            },
            database="postgres://{}?sslmode=require",
            redis_tls=True,
            signals_all=True,
            flags=("--init",),  # the first process of a dyno is Heroku's own
            redirects=False,
            not_confirmed="how long the gap is: that of the start here",
        ),
        # end of target: heroku
        # target: render
        Behaviour(
            "render",
            "swap",
            sets={"PORT": "10000", "RENDER": "true", "RENDER_GIT_COMMIT": "{commit}"},
            database="postgresql://{}",
            health_host="api.example.com",
            forwards="$proxy_add_x_forwarded_for, 172.68.0.9",
            not_confirmed="how many addresses its proxies add",
        ),
        # end of target: render
        # target: digitalocean
        Behaviour(
            "digitalocean",
            "swap",
            sets_port=True,
            sets={"COMMIT_SHA": "{commit}"},
            not_confirmed="how many addresses its proxies add",
        ),
        # end of target: digitalocean
        # target: fly
        Behaviour(
            "fly",
            "swap",
            sets={"FLY_APP_NAME": "slipway", "FLY_MACHINE_ID": "1", "PRIMARY_REGION": "fra"},
            database="postgres://{}",
            forwards="$proxy_add_x_forwarded_for, 66.241.124.1",
        ),
        # end of target: fly
        # target: cloudrun
        Behaviour(
            "cloudrun",
            "swap",
            sets_port=True,
            sets={"K_SERVICE": "slipway", "K_REVISION": "slipway-1", "K_CONFIGURATION": "slipway"},
            database="postgresql://{}",
            not_confirmed="what its front end does to kept connections as a revision is replaced",
        ),
        # end of target: cloudrun
        # target: railway
        Behaviour(
            "railway",
            "swap",
            sets={"RAILWAY_GIT_COMMIT_SHA": "{commit}", "RAILWAY_ENVIRONMENT_NAME": "production"},
            database="postgresql://{}",
            health_host="healthcheck.railway.app",
            healthy_within=120,
            forwards="$remote_addr, 152.233.0.7",  # what the client sent is dropped
            migrations=3,
            not_confirmed="whether the old web still gets requests after SIGTERM",
        ),
        # end of target: railway
        # target: ecs
        Behaviour(
            "ecs",
            "swap",
            memory="1024m",
            sets={"AWS_REGION": "eu-central-1", "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"},
            flags=(*LEAST, "--init"),
            not_confirmed="whether Fargate's tmpfs may be written by everybody",
        ),
        # end of target: ecs
        # target: kubernetes
        Behaviour(
            "kubernetes",
            "rolling",
            sets={"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"},
            database="postgresql://{}",
            signals_before_routing=1,
            health_host="10.244.1.7:8000",
            forwards="$remote_addr",
            flags=LEAST,
            not_confirmed="how long an ingress controller takes to notice: 1 s here",
        ),
        # end of target: kubernetes
    )
}
