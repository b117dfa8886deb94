"""How the manifests of render are broken, and what has nothing to say of them."""

from tests.deploy.broken import Broken

BROKEN = [
    Broken("variables", "render.yaml", "generateValue: true", "value: written-out"),
    Broken("variables", "render.yaml", "- key: REDIS_URL", "- key: REDIS_URI"),
    Broken("variables", "render.yaml", "value: production", "value: staging"),
    Broken("processes", "render.yaml", "python -m service worker", "python worker.py"),
    Broken("health", "render.yaml", "/health/ready", "/health/live"),
    Broken("health", "render.yaml", "            healthCheckPath: /health/ready\n", ""),
    Broken(
        "migration",
        "render.yaml",
        "            preDeployCommand: python -m service migrate",
        "            #",
    ),
    Broken("time", "render.yaml", "maxShutdownDelaySeconds: 60", "maxShutdownDelaySeconds: 20"),
    Broken("time", "render.yaml", "maxShutdownDelaySeconds: 60", "maxShutdownDelaySeconds: 600"),
    Broken(
        "proxies",
        "render.yaml",
        '{ key: PROXY_HOPS, value: "2" }',
        '{ key: PROXY_HOPS, value: "1" }',
    ),
    Broken("connections", "render.yaml", "maxInstances: 3", "maxInstances: 9"),
    Broken("collisions", "Dockerfile", "", ""),
    Broken("schema", "render.yaml", "plan: standard", "plan: gigantic"),
]
SILENT = {
    "port": "it sets PORT, and its manifest names none",
    "python": "it builds the Dockerfile",
    "deprecated": "only warnings: no date is known",
}
