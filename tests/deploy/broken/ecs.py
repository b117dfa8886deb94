"""How the manifests of ecs are broken."""

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


def services(rule: str, there: str, instead: str) -> list[Broken]:
    """The same in each service, in each stage."""
    return [
        broken for kind in SERVED for broken in each(rule, f"{kind}.service.json", there, instead)
    ]


def across(file: str, there: str) -> list[Broken]:
    """A name of the other stage, in each stage."""
    return [
        Broken(
            "references",
            f"{ECS}/{stage}/{file}",
            there.replace("STAGE", stage),
            there.replace("STAGE", other),
        )
        for stage, other in (STAGES, STAGES[::-1])
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
    # What leads to the other stage, or nowhere: secrets and their keys, clusters, roles, images.
    *tasks("references", "slipway/STAGE-SUFFIX:JWT_SECRET", "slipway/other-SUFFIX:JWT_SECRET"),
    *tasks("references", ":DATABASE_URL::", ":DATABASE_URI::"),
    *tasks("references", ":JWT_SECRET::", "::"),
    *tasks("references", ":secretsmanager:", ":ssm:"),
    *tasks("references", "role/slipway-STAGE-execution", "role/slipway-execution"),
    *tasks("references", '"family": "slipway-STAGE-', '"family": "slipway-'),
    *tasks("references", "/slipway:SHA", "/slipwy:SHA"),
    *tasks("references", "/slipway:SHA", "/slipway:latest"),
    *(
        broken
        for kind in (*(f"{kind}.service.json" for kind in SERVED), "migrate.run.json")
        for broken in across(kind, '"cluster": "slipway-STAGE"')
    ),
    *across("scaling-target.json", "service/slipway-STAGE/web"),
    *each("references", "scaling-target.json", "STAGE/web", "STAGE/wbe"),
    *across("target-group.json", '"Name": "slipway-STAGE"'),
    *across("web.service.json", "targetgroup/slipway-STAGE"),
    *across("execution-policy.json", "secret:slipway/STAGE"),
    *across("web.task.json", "secret:slipway/STAGE-SUFFIX:REDIS_URL"),
    *across("worker.task.json", "secret:slipway/STAGE-SUFFIX:DATABASE_URL"),
    *each("references", "web.service.json", '"containerName": "web"', '"containerName": "wbe"'),
    # Checks that end who is well, or look at nothing.
    *tasks("health", '"healthcheck", "KIND"]', '"healthcheck", "workr"]', ("worker", "scheduler")),
    *tasks("health", '"healthcheck", "KIND"]', '"healthcheck"]', ("worker", "scheduler")),
    *tasks("health", '"service", "healthcheck"', '"svc", "healthcheck"', ("worker",)),
    *tasks(
        "health",
        '"CMD", "python", "-m", "service", "healthcheck", "KIND"',
        '"CMD", "true"',
        ("worker", "scheduler"),
    ),
    *tasks(
        "health",
        '"CMD", "python", "-m", "service", "healthcheck", "KIND"',
        '"CMD-SHELL", "python -m service healthcheck \'KIND"',
        ("worker", "scheduler"),
    ),
    *each("health", "web.task.json", "/health/live", "/"),
    *each(
        "health",
        "target-group.json",
        '"HealthCheckTimeoutSeconds": 5',
        '"HealthCheckTimeoutSeconds": 1',
    ),
    *each("health", "target-group.json", '"HttpCode": "200"', '"HttpCode": "200-599"'),
    *each("port", "web.task.json", "'localhost', 8000", "'localhost', 8080"),
    *each("port", "web.task.json", "'localhost', 8000", "'localhost'"),
    *each("port", "web.task.json", '"containerPort": 8000', '"containerPort": 8080'),
    *each("port", "target-group.json", '"Port": 8000', '"Port": 80'),
    *each("port", "target-group.json", '"Port": 8000', '"Port": 8000, "HealthCheckPort": "80"'),
    *each("port", "web.service.json", '"loadBalancers"', '"volumes"'),
    # What a release loses.
    *each("release", "worker.service.json", '"desiredCount": 1', '"desiredCount": 0'),
    *each("release", "scheduler.service.json", '"desiredCount": 1', '"desiredCount": 0'),
    *each("release", "web.service.json", "{", '{ "desiredCount": 0,'),
    *each("release", "scaling-target.json", '"MinCapacity": ', '"MinCapacity": 0, "was": '),
    *each("release", "scaling-target.json", '"MinCapacity": ', '"MinCapacity": 9'),
    *services("release", '"minimumHealthyPercent": 100', '"minimumHealthyPercent": 0'),
    *each("release", "web.service.json", 'HealthyPercent": 100', 'HealthyPercent": 50'),
    *services("release", '"maximumPercent": 200', '"maximumPercent": 100'),
    *services("release", '"enable": true', '"enable": false'),
    *services("release", '"rollback": true', '"rollback": false'),
    *services("release", "deploymentCircuitBreaker", "alarms"),
    Broken("release", GROUP, '"30"', '"0"'),
    Broken("release", GROUP, '"30"', '"10"'),
    *each(
        "release",
        "web.task.json",
        '"DATABASE_POOL_MAX", "value": "5"',
        '"DATABASE_STATEMENT_TIMEOUT", "value": "40s"',
    ),
    *each("connections", "scheduler.service.json", '"desiredCount": 1', '"desiredCount": 60'),
    # release.sh goes on though the migration failed.
    Broken("migration", RELEASE, '[ "$code" = 0 ] || fail', '[ "$code" = 0 ] || echo'),
    Broken("migration", RELEASE, '[ "$code" = 0 ] || fail', '[ "$code" != 0 ] || fail'),
    Broken("migration", RELEASE, '[ "$code" = 0 ] || fail', '# [ "$code" = 0 ] || fail'),
    Broken("migration", RELEASE, '[ "$code" = 0 ] || fail', '[ "$task" = 0 ] || fail'),
    Broken("migration", RELEASE, 'code=$(echo "$ended" | cut -f 1)', "code=0"),
    Broken("migration", RELEASE, "    exit 1\n", ""),
    Broken("migration", RELEASE, "set -eu", "set -u"),
    # Numbers that are none, and files that are not there: nothing else is looked at.
    *tasks("variables", '"stopTimeout": 60', '"stopTimeout": "60s"', SERVED),
    *services("variables", '"maximumPercent": 200', '"maximumPercent": "most"'),
    *each("variables", "worker.service.json", '"desiredCount": 1', '"desiredCount": true'),
    *each("variables", "scheduler.service.json", '"desiredCount": 1,', ""),
    *each("variables", "scaling-target.json", '"MinCapacity": ', '"MinCapacity": 0.'),
    *tasks("variables", '"CMD", ', "", ("worker", "scheduler", "web")),
    Broken("variables", GROUP, '"30"', '"30s"'),
    Broken("variables", BALANCER, '"60"', '"' + "9" * 5000 + '"'),
    *each("variables", "web.service.json", "", ""),
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
