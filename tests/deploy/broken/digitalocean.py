"""How the manifests of digitalocean are broken."""

from tests.deploy.broken import Broken

APP, TEMPLATE = ".do/app.yaml", ".do/deploy.template.yaml"
STAGING = "deploy/digitalocean/app.staging.yaml"
SPECS = (APP, STAGING, TEMPLATE)
COMMIT = '{ key: COMMIT_SHA, value: "${_self.COMMIT_HASH}", scope: RUN_TIME }'
BROKEN = [
    Broken("variables", APP, "key: REDIS_URL,", "key: REDIS_URI,"),
    Broken("variables", APP, "type: SECRET, scope", "value: written-out, scope"),
    Broken("variables", TEMPLATE, "value: production", "value: staging"),
    *(
        Broken("variables", spec, there, instead)
        for spec in SPECS
        for there, instead in (
            ("JWT_SECRET, type: SECRET, scope: RUN_TIME", "JWT_SECRET, scope: RUN_TIME"),
            ("JWT_SECRET, type: SECRET, scope: RUN_TIME", "JWT_SECRET"),
            ("SMOKE_TOKEN, type: SECRET", "SMOKE_TOKEN, type: GENERAL"),
            ("JWT_SECRET, type: SECRET, scope: RUN_TIME", "JWT_SECRET, scope: BUILD_TIME"),
            ('DATABASE_URL}", scope: RUN_TIME', 'DATABASE_URL}", scope: BUILD_TIME'),
            ('PROXY_HOPS, value: "1", scope: RUN', 'PROXY_HOPS, value: "1", scope: BUILD'),
        )
    ),
    Broken("variables", APP, "max_instance_count: 3", "max_instance_count: three"),
    Broken("variables", APP, "min_instance_count: 2", "min_instance_count: two"),
    Broken("variables", APP, "instance_count: 1", "instance_count: 1.5"),
    Broken("variables", APP, "drain_seconds: 15", "drain_seconds: 15s"),
    Broken("variables", APP, "grace_period_seconds: 60", "grace_period_seconds: 1m"),
    Broken("variables", APP, "http_port: 8000", "http_port: http"),
    Broken("variables", APP, "http_path: /health/live", "port: a, http_path: /health/live"),
    Broken("processes", APP, "python -m service migrate", "alembic upgrade head"),
    *(
        Broken("processes", spec, there, instead)
        for spec in SPECS
        for there, instead in (
            ("- name: scheduler", "- name: clock"),
            ("- name: web", "- name: app"),
            ("python -m service migrate", "python -m service migrate --help"),
            ("python -m service worker", "python -m service worker -h"),
            ("workers:", "services2:"),
            ("dockerfile_path: Dockerfile", "environment_slug: python"),
        )
    ),
    Broken("processes", STAGING, "jobs:\n", "  # jobs:\n"),
    Broken("processes", APP, "workers:\n  - name: worker", "workers:\n  - name: web"),
    Broken("health", APP, "http_path: /health/ready", "http_path: /"),
    Broken("health", APP, "http_path: /health/live", "http_path: /health/ready"),
    Broken("health", STAGING, "    health_check:", "    check:"),
    Broken("port", APP, "http_path: /health/ready", "port: 9000, http_path: /health/ready"),
    Broken("port", APP, "http_path: /health/live", "port: 9000, http_path: /health/live"),
    Broken("port", STAGING, "http_path: /health/live", "port: 9000, http_path: /health/live"),
    Broken("port", APP, "{ key: SMOKE_TOKEN", '{ key: PORT, value: "9000" }\n      - { key: X'),
    Broken("port", APP, "http_port: 8000", "http_port: 8000\n    protocol: HTTP2"),
    Broken("migration", APP, "kind: PRE_DEPLOY", "kind: POST_DEPLOY"),
    Broken("migration", STAGING, "kind: PRE_DEPLOY", "kind: POST_DEPLOY"),
    Broken("time", APP, "15, grace_period_seconds: 60", "15, grace_period_seconds: 20"),
    Broken("time", APP, "{ grace_period_seconds: 60", "{ grace_period_seconds: 900"),
    Broken("time", APP, "{ grace_period_seconds: 60", '{ grace_period_seconds: "20"'),
    Broken("proxies", APP, 'PROXY_HOPS, value: "1"', 'PROXY_HOPS, value: "0"'),
    Broken("connections", APP, "max_instance_count: 3", "max_instance_count: 30"),
    Broken("connections", APP, "instance_count: 1", "instance_count: 60"),
    Broken("connections", STAGING, "instance_count: 1", 'instance_count: "60"'),
    Broken("release", APP, "min_instance_count: 2", "min_instance_count: 0"),
    *(Broken("release", spec, "    instance_count: 1", "    instance_count: 0") for spec in SPECS),
    *(
        Broken(
            "release",
            APP,
            f"service {kind}\n{rest}    instance_count: 1",
            f"service {kind}\n{rest}    instance_count: 0",
        )
        for kind, rest in (
            ("scheduler", f"    envs: [{COMMIT}]\n    instance_size_slug: apps-s-1vcpu-0.5gb\n"),
            ("migrate", "    instance_size_slug: apps-s-1vcpu-0.5gb\n"),
        )
    ),
    Broken(
        "release",
        STAGING,
        "    http_port: 8000\n",
        "    http_port: 8000\n    inactivity_sleep: { after_seconds: 600 }\n",
    ),
    *(
        Broken("references", spec, there, instead)
        for spec in SPECS
        for there, instead in (
            ("${database.DATABASE_URL}", "${db.DATABASE_URL}"),
            ("${database.DATABASE_URL}", "${redis.DATABASE_URL}"),
            ("${database.DATABASE_URL}", "${database.URL}"),
            ("${database.DATABASE_URL}", "${database.HOSTNAME}"),
            ("${database.DATABASE_URL}", "${web.PRIVATE_URL}"),
            ("${database.DATABASE_URL}", "${database.DATABASE_URL"),
            ("${database.DATABASE_URL}", "${DATABASE_URL}"),
            ("${redis.DATABASE_URL}", "${database.DATABASE_URL}"),
            ("${redis.DATABASE_URL}", "${valkey.DATABASE_URL}"),
            ("{ name: database, engine", "{ name: postgres, engine"),
            ("engine: VALKEY", "engine: PG"),
            ("{ key: APP_ENV", COMMIT + "\n    - { key: APP_ENV"),
            ("databases:", "# databases:"),
            ("prefix: /", "prefix: /api"),
            ("component: { name: web }", "component: { name: site }"),
            ("component: { name: web }", "component: { name: worker }"),
        )
        if spec == TEMPLATE or not there.startswith("{ key: APP_ENV")
    ),
    *(Broken("references", spec, "envs:\n", f"envs:\n  - {COMMIT}\n") for spec in (APP, STAGING)),
    Broken("references", STAGING, "name: slipway-staging\n", "name: slipway\n"),
    Broken("references", STAGING, "slipway-staging-database", "slipway-database"),
    Broken("references", STAGING, "slipway-staging-redis", "slipway-redis"),
    *(
        Broken("references", TEMPLATE, there, instead)
        for there, instead in (
            ("region: fra", "region: nyc"),
            ("drain_seconds: 15", "drain_seconds: 20"),
            ("max_instance_count: 3", "max_instance_count: 2"),
            ('WEB_CONCURRENCY, value: "1"', 'WEB_CONCURRENCY, value: "2"'),
            ("slipway-redis", "slipway-valkey"),
            ("  alerts:", "  notices:"),
        )
    ),
    Broken("deprecated", APP, "engine: VALKEY", "engine: REDIS", warns=True),
    Broken(
        "deprecated",
        STAGING,
        "    http_port: 8000\n",
        "    http_port: 8000\n    routes: [{ path: / }]\n",
        warns=True,
    ),
    Broken("collisions", "Dockerfile", "", ""),
    Broken("schema", APP, "engine: PG", "engine: ORACLE"),
]
