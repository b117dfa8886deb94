"""How the manifests of render are broken."""

from tests.deploy.broken import Broken

FILE = "render.yaml"
APPS = ("slipway", "slipway-staging")
KEPT = """name: {}-redis
            region: frankfurt
            plan: starter
            maxmemoryPolicy: noeviction"""
BROKEN = [
    Broken("variables", FILE, "generateValue: true", "value: written-out"),
    Broken("variables", FILE, "- key: REDIS_URL", "- key: REDIS_URI"),
    Broken("variables", FILE, "value: production", "value: staging"),
    Broken("processes", FILE, "python -m service worker", "python worker.py"),
    Broken("health", FILE, "/health/ready", "/health/live"),
    Broken("health", FILE, "            healthCheckPath: /health/ready\n", ""),
    Broken(
        "migration",
        FILE,
        "            preDeployCommand: python -m service migrate",
        "            #",
    ),
    Broken("time", FILE, "maxShutdownDelaySeconds: 60", "maxShutdownDelaySeconds: 20"),
    Broken("time", FILE, "maxShutdownDelaySeconds: 60", "maxShutdownDelaySeconds: 600"),
    Broken(
        "proxies",
        FILE,
        '{ key: PROXY_HOPS, value: "2" }',
        '{ key: PROXY_HOPS, value: "1" }',
    ),
    Broken("connections", FILE, "maxInstances: 3", "maxInstances: 9"),
    Broken("collisions", "Dockerfile", "", ""),
    Broken("schema", FILE, "plan: standard", "plan: gigantic"),
    Broken("variables", FILE, "{ key: JWT_SECRET, generateValue: true }", "{ key: JWT_SECRET }"),
    Broken("variables", FILE, "JWT_SECRET, generateValue: true", "JWT_SECRET, sync: true"),
    Broken(
        "variables", FILE, "JWT_SECRET, generateValue: true", "JWT_SECRET, generateValue: false"
    ),
    Broken("variables", FILE, "maxInstances: 3", "maxInstances: three"),
    Broken("variables", FILE, "minInstances: 2", "minInstances: two"),
    Broken("variables", FILE, "numInstances: 1", "numInstances: one"),
    Broken("variables", FILE, "maxShutdownDelaySeconds: 60", "maxShutdownDelaySeconds: 60s"),
    Broken("variables", FILE, "maxShutdownDelaySeconds: 60", "maxShutdownDelaySeconds: true"),
    Broken("processes", FILE, "\nprojects:", "\nproject:"),
    Broken("processes", FILE, "    environments:", "    stages:"),
    Broken("processes", FILE, "- name: production", "- name: live"),
    Broken("processes", FILE, "- name: staging", "- name: stagin"),
    *(
        Broken("processes", FILE, there, instead)
        for app in APPS
        for there, instead in (
            (f"name: {app}-web\n            runtime: docker", f"name: {app}-web"),
            (
                f"name: {app}-web\n            runtime: docker",
                f"name: {app}-web\n            runtime: python",
            ),
            (
                f"name: {app}-worker\n            runtime: docker",
                f"name: {app}-worker\n            runtime: python",
            ),
            (
                f"name: {app}-worker\n            runtime: docker",
                f"name: {app}-worker\n            runtime: docker\n"
                "            startCommand: python -m service worker",
            ),
            (
                f"type: web\n            name: {app}-web",
                f"type: pserv\n            name: {app}-web",
            ),
            (
                f"type: worker\n            name: {app}-worker",
                f"type: web\n            name: {app}-worker",
            ),
            (f"name: {app}-scheduler", f"name: {app}-clock"),
            (f"name: {app}-web\n", f"name: {app}-site\n"),
        )
    ),
    *(
        Broken("processes", FILE, "python -m service migrate", instead)
        for instead in (
            "python -m service migrate --help",
            "python -m service migrate && true",
            "python -m service migrate || true",
            "alembic upgrade head",
            "python -m service --help migrate",
        )
    ),
    Broken("processes", FILE, "python -m service web", "python -m service web --help"),
    Broken("processes", FILE, "dockerCommand: python -m service worker", "startCommand: true"),
    Broken(
        "migration",
        FILE,
        "dockerCommand: python -m service worker",
        "dockerCommand: python -m service worker\n"
        "            preDeployCommand: python -m service migrate",
    ),
    Broken("time", FILE, "maxShutdownDelaySeconds: 60", 'maxShutdownDelaySeconds: "20"'),
    Broken("connections", FILE, "maxInstances: 3", 'maxInstances: "9"'),
    Broken("connections", FILE, "numInstances: 1", "numInstances: 9"),
    *(
        Broken(
            "connections",
            FILE,
            f"name: {app}-{kind}\n",
            f"name: {app}-{kind}\n            numInstances: 60\n",
        )
        for app in APPS
        for kind in ("worker", "scheduler")
    ),
    Broken("release", FILE, "minInstances: 2", "minInstances: 0"),
    Broken("release", FILE, "numInstances: 1", "numInstances: 0"),
    *(
        Broken("release", FILE, there, instead)
        for app in APPS
        for there, instead in (
            (
                f"name: {app}-worker\n",
                f"name: {app}-worker\n            numInstances: 0\n",
            ),
            (
                f"name: {app}-scheduler\n",
                f"name: {app}-scheduler\n            numInstances: 0\n",
            ),
            (KEPT.format(app), KEPT.format(app).replace("noeviction", "allkeys-lru")),
            (KEPT.format(app), KEPT.format(app).replace("maxmemoryPolicy", "#")),
        )
    ),
    *(
        Broken("references", FILE, there, instead)
        for app in APPS
        for there, instead in (
            (f"fromDatabase: {{ name: {app}-database", f"fromDatabase: {{ name: {app}-postgres"),
            (f"- name: {app}-database", f"- name: {app}-postgres"),
            (f"keyvalue, name: {app}-redis", f"keyvalue, name: {app}-valkey"),
            (f"keyvalue, name: {app}-redis", f"web, name: {app}-redis"),
            (f"keyvalue, name: {app}-redis", f"web, name: {app}-web"),
            (f"            name: {app}-redis", f"            name: {app}-valkey"),
            (f"- fromGroup: {app}\n", f"- fromGroup: {app}-secrets\n"),
            (f"  - name: {app}\n    envVars", f"  - name: {app}-others\n    envVars"),
            (
                f"{app}-database, property: connectionString",
                f"{app}-database, property: host",
            ),
            (f"{app}-redis, property: connectionString", f"{app}-redis, property: host"),
            (
                f"fromService: {{ type: keyvalue, name: {app}-redis",
                f"fromDatabase: {{ name: {app}-database",
            ),
        )
    ),
    Broken("references", FILE, "{ name: slipway-staging-database", "{ name: slipway-database"),
    Broken("references", FILE, "{ name: slipway-database", "{ name: slipway-staging-database"),
    Broken(
        "references", FILE, "keyvalue, name: slipway-staging-redis", "keyvalue, name: slipway-redis"
    ),
    Broken("references", FILE, "- fromGroup: slipway-staging", "- fromGroup: slipway"),
    Broken("references", FILE, "name: slipway-staging-worker", "name: slipway-worker"),
    Broken("deprecated", FILE, "type: keyvalue\n", "type: redis\n", warns=True),
    Broken("deprecated", FILE, "runtime: docker", "env: docker", warns=True),
]
