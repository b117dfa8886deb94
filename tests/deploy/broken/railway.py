"""How the manifest of railway is broken, and what has nothing to say of it."""

from tests.deploy.broken import Broken

FILE = ".railway/railway.py"
BROKEN = [
    Broken("variables", FILE, '"REDIS_URL":', '"REDIS_URI":'),
    Broken("variables", FILE, '"JWT_SECRET": ctx.shared.JWT_SECRET', '"JWT_SECRET": "x" * 40'),
    Broken("variables", FILE, "ctx.shared.SMOKE_TOKEN", '{"value": "written-out"}'),
    Broken("variables", FILE, '"production" if production else "staging"', '"staging"'),
    Broken("variables", FILE, '"production" if production else "staging"', '"production"'),
    Broken("variables", FILE, '"75s"', '"75"'),
    Broken("variables", FILE, "        env=env,\n", ""),
    Broken("variables", FILE, '"WORKER_CONCURRENCY": "2"', '"WORKER_PROCESSES": "2"'),
    Broken("processes", FILE, "service worker", "service clerk"),
    Broken("processes", FILE, '        start="python -m service scheduler",\n', ""),
    Broken("processes", FILE, "python -m service web", "python -m service web --port $PORT"),
    Broken("processes", FILE, "python -m service migrate", "alembic upgrade head"),
    Broken("processes", FILE, '"scheduler",\n', '"clock",\n'),
    Broken(
        "processes",
        FILE,
        '"worker",\n        **common,',
        '"worker",\n        **(common | {"preDeploy": "python -m service doctor"}),',
    ),
    Broken("health", FILE, "/health/ready", "/health/live"),
    Broken("health", FILE, '        healthcheck="/health/ready",\n', ""),
    Broken("health", FILE, "healthcheck=", "healthCheck="),
    Broken(
        "port",
        FILE,
        "replicas=",
        'domains=[{"domain": "api.example.com", "port": 8000}], replicas=',
    ),
    Broken("migration", FILE, '"preDeploy":', '"postDeploy":'),
    Broken("migration", FILE, "        **common,\n", "        source=common['source'],\n"),
    Broken("time", FILE, '"drainingSeconds": 60,', '"drainingSeconds": 27,'),
    Broken("time", FILE, '"drainingSeconds": 60,', ""),
    Broken("time", FILE, "deploy=deploy |", "deploy="),
    Broken("time", FILE, "        deploy=deploy,\n", ""),
    Broken("time", FILE, '"75s"', '"60s"'),
    Broken("time", FILE, '"SMOKE_TOKEN":', '"DATABASE_STATEMENT_TIMEOUT": "15m", "SMOKE_TOKEN":'),
    Broken("proxies", FILE, '"PROXY_HOPS": "2"', '"PROXY_HOPS": "1"'),
    Broken("proxies", FILE, '            "PROXY_HOPS": "2",', ""),
    Broken("connections", FILE, "replicas=2 if production else None", "replicas=8"),
    Broken("connections", FILE, "replicas=2 if", 'replicas={"us-west2": 5, "europe-west4": 3} if'),
    Broken("connections", FILE, '"DATABASE_POOL_MAX": "5"', '"DATABASE_POOL_MAX": "50"'),
    Broken("collisions", "Dockerfile", "RUN python", "RUN --mount=type=cache,target=/x python"),
    Broken("collisions", "Dockerfile", "", ""),
    Broken("collisions", "railway.json", "", "{}"),
    Broken("collisions", "railpack.json", "", "{}"),
    Broken("schema", FILE, '"DOCKERFILE"', '"BUILDPACKS"'),
    Broken("schema", FILE, '"ALWAYS"', '"SOMETIMES"'),
    Broken("schema", FILE, '"overlapSeconds"', '"overlap"'),
]
SILENT = {
    "python": "it builds the Dockerfile",
    "deprecated": "the old forms are files of their own, which `collisions` finds",
}
