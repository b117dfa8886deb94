"""The project at Railway, one for each environment: production and staging.

`railway config plan` shows what would change; deploy/railway/README.md says how to begin.
"""

from railway_sdk import (
    Project,
    RailwayContext,
    define_railway,
    github,
    postgres,
    project,
    redis,
    service,
)

REPOSITORY = "OWNER/REPOSITORY"


@define_railway
def main(ctx: RailwayContext) -> Project:
    """What an environment has. All have the same resources, or Railway refuses the file."""
    if not ctx.environment:  # it would be taken for staging
        raise ValueError("this Railway CLI does not say which environment it is: upgrade it")
    production = ctx.environment == "production"
    database = postgres("postgres")
    cache = redis("redis")
    common = {
        # Production waits for the checks of a commit, which Railway calls check suites.
        "source": github(REPOSITORY, branch="main", checkSuites=production or None),
        "build": {"builder": "DOCKERFILE"},
        # Of each: the three are deployed at the same time, and none may meet an old schema.
        "preDeploy": "python -m service migrate",
    }
    deploy = {
        "drainingSeconds": 60,  # longer than SHUTDOWN_GRACE; by default 0, which kills at once
        "restartPolicyType": "ALWAYS",  # by default it is given up after 10 restarts
    }
    env = {
        "APP_ENV": "production" if production else "staging",
        "DATABASE_URL": database.env.DATABASE_URL,
        "REDIS_URL": cache.env.REDIS_URL,
        "JWT_SECRET": ctx.shared.JWT_SECRET,
        "DATABASE_POOL_MAX": "5",
    }
    web = service(
        "web",
        **common,
        start="python -m service web",
        healthcheck="/health/ready",
        healthcheckTimeout=120,
        replicas=2 if production else None,
        # The edge learns of the new ones while the old ones still take requests.
        deploy=deploy | {"overlapSeconds": 20},
        env=env
        | {
            "PORT": "8080",  # where requests and health checks go, and `railway domain` too
            "PROXY_HOPS": "2",  # X-Forwarded-For is CLIENT, EDGE
            "WEB_CONCURRENCY": "2",  # a replica sees as many CPUs as the plan allows
            "WEB_KEEPALIVE": "75s",  # longer than the edge's 60 s
            "SMOKE_TOKEN": ctx.shared.SMOKE_TOKEN,
        },
    )
    worker = service(
        "worker",
        **common,
        start="python -m service worker",
        deploy=deploy,
        env=env | {"WORKER_CONCURRENCY": "2"},
    )
    scheduler = service(
        "scheduler",
        **common,
        start="python -m service scheduler",
        deploy=deploy,
        env=env,
    )
    return project("slipway", resources=[database, cache, web, worker, scheduler])
