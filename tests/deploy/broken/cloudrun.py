"""How the manifests of cloudrun are broken, and what has nothing to say of them."""

from tests.deploy.broken import Broken

RUN = "deploy/cloudrun/production"
BROKEN = [
    Broken(
        "variables",
        f"{RUN}/service.yaml",
        "name: REDIS_URL, value",
        "name: REDIS_URI, value",
    ),
    Broken(
        "variables",
        f"{RUN}/service.yaml",
        "value: production",
        "value: staging",
    ),
    Broken(
        "variables",
        f"{RUN}/service.yaml",
        "name: WEB_CONCURRENCY",
        "name: JWT_SECRET",
    ),
    Broken(
        "processes",
        f"{RUN}/service.yaml",
        "[python, -m, service, web]",
        "[python, -m, service, serve]",
    ),
    Broken(
        "processes",
        f"{RUN}/worker.yaml",
        "          command:",
        "          args:",
    ),
    Broken(
        "health",
        f"{RUN}/service.yaml",
        "path: /health/live",
        "path: /health/ready",
    ),
    Broken("time", f"{RUN}/service.yaml", "value: 6s", "value: 9s"),
    Broken(
        "proxies",
        f"{RUN}/service.yaml",
        'PROXY_HOPS, value: "1"',
        'PROXY_HOPS, value: "2"',
    ),
    Broken(
        "migration",
        "deploy/cloudrun/README.md",
        "gcloud run jobs execute slipway-migrate --wait",
        "true",
    ),
    Broken("connections", f"{RUN}/service.yaml", 'maxScale: "4"', 'maxScale: "40"'),
    Broken("collisions", "Dockerfile", "", ""),
    Broken(
        "schema",
        f"{RUN}/service.yaml",
        "timeoutSeconds: 60",
        "timeoutSeconds: soon",
    ),
]
SILENT = {
    "python": "it builds the Dockerfile",
    "deprecated": "no form of ours is",
    "port": "PORT is set to containerPort",
}
