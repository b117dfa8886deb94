"""How the manifests of ecs are broken, and what has nothing to say of them."""

from collections.abc import Iterable

from deploy.manifest import KINDS
from tests.deploy.broken import Broken

ECS = "deploy/ecs"
STAGES = ("production", "staging")
BALANCER = f"{ECS}/load-balancer-attributes.json"
GROUP = f"{ECS}/target-group-attributes.json"
RELEASE = f"{ECS}/release.sh"
SERVED = ("web", "worker", "scheduler")


def each(rule: str, file: str, there: str, instead: str) -> list[Broken]:
    """The same in each stage."""
    return [
        Broken(rule, f"{ECS}/{stage}/{file}", there.replace("STAGE", stage), instead)
        for stage in STAGES
    ]


def tasks(rule: str, there: str, instead: str, kinds: Iterable[str] = KINDS) -> list[Broken]:
    """The same in the task definition of each of these, in each stage."""
    return [
        broken
        for kind in kinds
        for broken in each(
            rule, f"{kind}.task.json", there.replace("KIND", kind), instead.replace("KIND", kind)
        )
    ]


BROKEN = [
    *tasks("variables", '"REDIS_URL", "valueFrom"', '"REDIS_URI", "valueFrom"'),
    *tasks("variables", '"DATABASE_URL", "valueFrom"', '"DATABASE_URL", "value"'),
    *tasks("variables", '"value": "STAGE"', '"value": "test"'),
    *each("variables", "web.task.json", "DATABASE_POOL_MAX", "DATABASE_POOL_MOST"),
    *each("variables", "web.task.json", '"SMOKE_TOKEN", "valueFrom"', '"SMOKE_TOKEN", "value"'),
    *each("variables", "web.task.json", '"75s"', '"75"'),
    *each("variables", "worker.task.json", "CONCURRENCY", "PROCESSES"),
    *tasks("processes", '"service", "KIND"]', '"service", "serve"]'),
    Broken(
        "processes",
        f"{ECS}/production/worker.task.json",
        '"service", "worker"]',
        '"service", "worker", "--now"]',
    ),
    *each("processes", "scheduler.task.json", '"name": "scheduler"', '"name": "app"'),
    *each("processes", "migrate.task.json", '"command": [', '"entryPoint": ['),
    *each("health", "target-group.json", "/health/ready", "/health/live"),
    *each("health", "target-group.json", '"HealthCheckPath": "/health/ready",', ""),
    *each("health", "web.task.json", "/health/live", "/health/ready"),
    *each(
        "health",
        "web.task.json",
        '"CMD", "python", "-c", ',
        '"CMD-SHELL", "python -m service healthcheck web && : ", ',
    ),
    *each("port", "web.service.json", '"containerPort": 8000', '"containerPort": 8080'),
    *each("port", "web.task.json", "DATABASE_POOL_MAX", "PORT"),
    Broken("migration", RELEASE, "aws ecs run-task", "true"),
    Broken("migration", RELEASE, "containers[0].exitCode", "lastStatus"),
    Broken("migration", RELEASE, "migrate=$(", "aws ecs update-service; migrate=$("),
    *tasks("time", '"stopTimeout": 60', '"stopTimeout": 27', SERVED),
    *each("time", "worker.task.json", '"stopTimeout": 60', '"stopTimeout": 121'),
    *each("time", "web.task.json", '"stopTimeout": 60,', ""),
    *each("time", "web.task.json", '"75s"', '"60s"'),
    *each(
        "time",
        "web.task.json",
        '"DATABASE_POOL_MAX", "value": "5"',
        '"SHUTDOWN_GRACE", "value": "28s"',
    ),
    Broken("time", BALANCER, '"60"', '"75"'),
    Broken("time", BALANCER, '"60"', '"15"'),
    Broken("time", GROUP, '"30"', '"90"'),
    Broken("time", GROUP, "deregistration_delay.timeout_seconds", "slow_start.duration_seconds"),
    *each("proxies", "web.task.json", '"PROXY_HOPS", "value": "1"', '"PROXY_HOPS", "value": "2"'),
    *each("proxies", "web.task.json", '"name": "PROXY_HOPS"', '"name": "WEB_THREADS"'),
    Broken("proxies", BALANCER, '"append"', '"preserve"'),
    *each("connections", "scaling-target.json", '"MaxCapacity": ', '"MaxCapacity": 1'),
    *each("connections", "worker.service.json", '"desiredCount": 1', '"desiredCount": 30'),
    *each(
        "connections",
        "web.task.json",
        '"WEB_CONCURRENCY", "value": "2"',
        '"WEB_CONCURRENCY", "value": "16"',
    ),
    Broken("collisions", "Dockerfile", "", ""),
    *each("schema", "web.task.json", '"networkMode"', '"networkModus"'),
    *tasks("schema", "LINUX", "PLAN9"),
    *(
        broken
        for kind in SERVED
        for broken in each(
            "schema", f"{kind}.service.json", '"rollback": true', '"rollback": "yes"'
        )
    ),
]
SILENT = {
    "python": "it builds the Dockerfile",
    "deprecated": "no form of ours is",
}
