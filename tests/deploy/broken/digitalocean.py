"""How the manifests of digitalocean are broken, and what has nothing to say of them."""

from tests.deploy.broken import Broken

BROKEN = [
    Broken("variables", ".do/app.yaml", "key: REDIS_URL,", "key: REDIS_URI,"),
    Broken("variables", ".do/app.yaml", "type: SECRET, scope", "value: written-out, scope"),
    Broken("variables", ".do/deploy.template.yaml", "value: production", "value: staging"),
    Broken("processes", ".do/app.yaml", "python -m service migrate", "alembic upgrade head"),
    Broken("processes", ".do/app.yaml", "- name: scheduler", "- name: clock"),
    Broken("health", ".do/app.yaml", "http_path: /health/ready", "http_path: /"),
    Broken("health", ".do/app.yaml", "http_path: /health/live", "http_path: /health/ready"),
    Broken("migration", ".do/app.yaml", "kind: PRE_DEPLOY", "kind: POST_DEPLOY"),
    Broken("time", ".do/app.yaml", "15, grace_period_seconds: 60", "15, grace_period_seconds: 20"),
    Broken("time", ".do/app.yaml", "{ grace_period_seconds: 60", "{ grace_period_seconds: 900"),
    Broken("proxies", ".do/app.yaml", 'PROXY_HOPS, value: "1"', 'PROXY_HOPS, value: "0"'),
    Broken("connections", ".do/app.yaml", "max_instance_count: 3", "max_instance_count: 30"),
    Broken("collisions", "Dockerfile", "", ""),
    Broken("schema", ".do/app.yaml", "engine: PG", "engine: ORACLE"),
]
SILENT = {
    "port": "PORT is set to http_port",
    "python": "it builds the Dockerfile",
    "deprecated": "only warnings: no date is known",
}
