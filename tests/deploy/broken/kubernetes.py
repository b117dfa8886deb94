"""How the manifests of kubernetes are broken."""

from tests.deploy.broken import Broken

HERE = "deploy/kubernetes"
BASE = f"{HERE}/base"
PRODUCTION = f"{HERE}/overlays/production"
STAGING = f"{HERE}/overlays/staging"
LIVE_BY_ANOTHER = "livenessProbe:\n            exec: { command: [python3.13"
BROKEN = [
    # Plain settings, of the base and of both overlays.
    Broken("variables", f"{BASE}/kustomization.yaml", "PROXY_HOPS=1", "PROXY_HOP=1"),
    Broken("variables", f"{BASE}/kustomization.yaml", "=95s", "=95"),
    Broken("variables", f"{PRODUCTION}/kustomization.yaml", "=production", "=staging"),
    Broken("variables", f"{STAGING}/kustomization.yaml", "=staging", "=production"),
    Broken("variables", f"{STAGING}/kustomization.yaml", "APP_ENV=staging", "METRICS_TOKEN=secret"),
    # Secrets of each process: missing, misspelt, written out, here as a Secret.
    Broken("variables", f"{BASE}/web.yaml", "name: REDIS_URL, value", "name: REDIS_URI, value"),
    Broken("variables", f"{BASE}/worker.yaml", "name: JWT_SECRET, value", "name: JWT, value"),
    Broken(
        "variables",
        f"{BASE}/scheduler.yaml",
        "{ name: DATABASE_URL, valueFrom: { secretKeyRef: { name: slipway, key: DATABASE_URL } } }",
        '{ name: DATABASE_URL, value: "postgresql://somebody:secret@database/slipway" }',
    ),
    Broken(
        "variables",
        f"{BASE}/migrate.yaml",
        "{ name: REDIS_URL, valueFrom: { secretKeyRef: { name: slipway, key: REDIS_URL } } }",
        "{ name: LOG_LEVEL, value: LOUD }",
    ),
    Broken(
        "variables",
        f"{BASE}/namespace.yaml",
        "apiVersion",
        "apiVersion: v1\nkind: Secret\nmetadata: { name: slipway }\n"
        "stringData: { JWT_SECRET: a-secret-that-everybody-can-read }\n---\napiVersion",
    ),
    # Commands.
    Broken("processes", f"{BASE}/web.yaml", "service, web]", "service, serve]"),
    Broken("processes", f"{BASE}/worker.yaml", "          command: [", "          workingDir: ["),
    Broken("processes", f"{BASE}/scheduler.yaml", "service, scheduler]", "service, worker]"),
    Broken("processes", f"{BASE}/migrate.yaml", "[python, -m, service, migrate]", "[alembic]"),
    Broken("processes", f"{BASE}/kustomization.yaml", "  - migrate.yaml\n", ""),
    # Each probe: the startup probe too ends who fails it.
    Broken(
        "health",
        f"{BASE}/web.yaml",
        "startupProbe:\n            httpGet: { path: /health/live",
        "startupProbe:\n            httpGet: { path: /health/ready",
    ),
    Broken("health", f"{BASE}/web.yaml", "path: /health/ready", "path: /health"),
    Broken("health", f"{BASE}/web.yaml", "readinessProbe:", "livenessProbe2:"),
    Broken(
        "health",
        f"{BASE}/web.yaml",
        "livenessProbe:\n            httpGet: { path: /health/live",
        "livenessProbe:\n            httpGet: { path: /health/ready",
    ),
    # Each step on the way from the Ingress to web.
    Broken("port", f"{PRODUCTION}/ingress.yaml", "port: { name: http }", "port: { number: 8000 }"),
    Broken("port", f"{STAGING}/ingress.yaml", "port: { name: http }", "port: { name: https }"),
    Broken("port", f"{BASE}/web.yaml", "targetPort: http", "targetPort: 80"),
    Broken("port", f"{BASE}/web.yaml", "containerPort: 8000", "containerPort: 8080"),
    Broken("port", f"{BASE}/web.yaml", "/health/ready, port: http", "/health/ready, port: web"),
    Broken("port", f"{BASE}/network.yaml", "port: http", "port: 8080"),
    Broken("port", f"{BASE}/kustomization.yaml", "DATABASE_POOL_MAX=5", "PORT=8080"),
    # The order: it is the page that has it.
    Broken("migration", f"{HERE}/README.md", "wait --for=condition=complete", "get"),
    Broken("migration", f"{HERE}/README.md", " -l 'app.kubernetes.io/component notin", " -l 'x in"),
    Broken(
        "migration",
        f"{HERE}/README.md",
        "FOLDER=$(mktemp -d)\n",
        "kubectl apply -k deploy/kubernetes/overlays/production\n",
    ),
    Broken("migration", f"{BASE}/migrate.yaml", "kind: Job", "kind: CronJob"),
    # Time: web, whose preStop counts; worker; scheduler; in one stage; what nobody gives.
    Broken("time", f"{BASE}/web.yaml", "PeriodSeconds: 45", "PeriodSeconds: 35"),
    Broken("time", f"{BASE}/web.yaml", "sleep: { seconds: 10 }", "sleep: { seconds: 20 }"),
    Broken("time", f"{BASE}/web.yaml", "      terminationGracePeriodSeconds: 45", "      #"),
    Broken("time", f"{BASE}/worker.yaml", "PeriodSeconds: 35", "PeriodSeconds: 25"),
    Broken("time", f"{BASE}/scheduler.yaml", "PeriodSeconds: 35", "PeriodSeconds: 5"),
    Broken("time", f"{BASE}/worker.yaml", "PeriodSeconds: 35", "PeriodSeconds: 3600"),
    Broken(
        "time",
        f"{STAGING}/smaller.yaml",
        "spec: { replicas: 1 }",
        "spec: { template: { spec: { terminationGracePeriodSeconds: 10 } } }",
    ),
    Broken("time", f"{PRODUCTION}/kustomization.yaml", "APP_ENV=production", "SHUTDOWN_GRACE=5m"),
    Broken("time", f"{BASE}/kustomization.yaml", "WEB_KEEPALIVE=95s", "WEB_KEEPALIVE=60s"),
    Broken("time", f"{BASE}/kustomization.yaml", "      - WEB_KEEPALIVE=95s", "      #"),
    Broken("proxies", f"{BASE}/kustomization.yaml", "PROXY_HOPS=1", "PROXY_HOPS=2"),
    Broken("proxies", f"{BASE}/kustomization.yaml", "      - PROXY_HOPS=1", "      #"),
    Broken("proxies", f"{STAGING}/kustomization.yaml", "APP_ENV=staging", "PROXY_HOPS=0"),
    Broken("connections", f"{BASE}/web.yaml", "maxReplicas: 6", "maxReplicas: 9"),
    Broken("connections", f"{BASE}/worker.yaml", "replicas: 2", "replicas: 20"),
    Broken("connections", f"{BASE}/kustomization.yaml", "POOL_MAX=5", "POOL_MAX=20"),
    Broken("connections", f"{STAGING}/smaller.yaml", "maxReplicas: 2", "maxReplicas: 20"),
    Broken(
        "deprecated",
        f"{STAGING}/ingress.yaml",
        "  name: web\n",
        "  name: web\n  annotations: { nginx.ingress.kubernetes.io/proxy-body-size: 1m }\n",
    ),
    # Probes that are commands, of each process; what they are given to answer in.
    *(
        Broken("health", f"{BASE}/{kind}.yaml", there, instead)
        for kind in ("worker", "scheduler")
        for there, instead in (
            (f"healthcheck, {kind}] }}", "healthcheck, workr] }"),
            (f"healthcheck, {kind}] }}", "healthcheck] }"),
            ("[python, -m, service, healthcheck", "[python, -m, svc, healthcheck"),
            (f"[python, -m, service, healthcheck, {kind}]", '["true"]'),
            ("livenessProbe:\n            exec: { command: [python", LIVE_BY_ANOTHER),
            ("timeoutSeconds: 15", "timeoutSeconds: 2"),
            ("            timeoutSeconds: 15\n", ""),
        )
    ),
    Broken("health", f"{BASE}/web.yaml", "timeoutSeconds: 3 #", "timeoutSeconds: 1 #"),
    Broken("health", f"{BASE}/web.yaml", "            timeoutSeconds: 3 #", "            #"),
    Broken("port", f"{BASE}/web.yaml", "/health/live, port: http", "/health/live, port: 8080"),
    Broken(
        "port",
        f"{BASE}/web.yaml",
        "livenessProbe:\n            httpGet: { path: /health/live, port: http }",
        "livenessProbe:\n            tcpSocket: { port: 8080 }",
    ),
    Broken("port", f"{PRODUCTION}/ingress.yaml", "  rules:", "  rules2:"),
    Broken("port", f"{STAGING}/kustomization.yaml", "  - ingress.yaml\n", ""),
    Broken("port", f"{BASE}/network.yaml", "component: web }", "component: wbe }"),
    # What leads nowhere, or to the other stage.
    *(
        Broken("references", f"{BASE}/{kind}.yaml", there, instead)
        for kind in ("web", "worker", "scheduler", "migrate")
        for there, instead in (
            ("{ name: slipway, key: JWT_SECRET", "{ name: slipwy, key: JWT_SECRET"),
            ("key: JWT_SECRET", "key: JWT_SECRTE"),
            ("key: DATABASE_URL", "key: REDIS_URL"),
            ("image: slipway", "image: slipwy"),
            ("image: slipway", "image: REGISTRY/slipway:SHA"),
            ("          image: slipway\n", ""),
        )
    ),
    Broken(
        "references", f"{BASE}/web.yaml", "slipway, key: SMOKE_TOKEN", "other, key: SMOKE_TOKEN"
    ),
    Broken("references", f"{STAGING}/kustomization.yaml", ": slipway-staging", ": slipway"),
    Broken("references", f"{STAGING}/kustomization.yaml", "namespace: slipway-staging\n", ""),
    Broken("references", f"{PRODUCTION}/kustomization.yaml", ": slipway\n", ": slipway-staging\n"),
    Broken("references", f"{PRODUCTION}/kustomization.yaml", "namespace: slipway\n", ""),
    *(
        Broken("references", f"{overlay}/kustomization.yaml", there, instead)
        for overlay in (PRODUCTION, STAGING)
        for there, instead in (
            ("name: slipway, newName", "name: slipwy, newName"),
            ("newTag: SHA", "newTag: latest"),
            (", newTag: SHA", ""),
        )
    ),
    *(
        Broken("references", f"{BASE}/network.yaml", f"port: {port}", "port: 1")
        for port in ("5432", "6379")
    ),
    Broken("references", f"{BASE}/network.yaml", "  egress:\n", "  ingress:\n"),
    Broken(
        "references",
        f"{BASE}/network.yaml",
        "[{ port: 53, protocol: UDP }, { port: 53, protocol: TCP }]",
        "[{ port: 54, protocol: UDP }]",
    ),
    Broken("references", f"{BASE}/network.yaml", "policyTypes: [Egress]", "policyTypes: [Ingress]"),
    # What a rollout loses.
    Broken("release", f"{BASE}/worker.yaml", "replicas: 2", "replicas: 0"),
    Broken("release", f"{BASE}/scheduler.yaml", "replicas: 2", "replicas: 0"),
    Broken("release", f"{STAGING}/smaller.yaml", "replicas: 1", "replicas: 0"),
    Broken("release", f"{BASE}/web.yaml", "minReplicas: 2", "minReplicas: 0"),
    Broken("release", f"{STAGING}/smaller.yaml", "minReplicas: 1", "minReplicas: 0"),
    Broken("release", f"{BASE}/web.yaml", "  minReadySeconds", "  replicas: 0\n  minReadySeconds"),
    Broken("release", f"{BASE}/web.yaml", "  minReadySeconds", "  replicas: 2\n  minReadySeconds"),
    Broken("release", f"{BASE}/web.yaml", "          lifecycle: {", "          #"),
    Broken("release", f"{BASE}/web.yaml", "seconds: 10 }", "seconds: 1 }"),
    *(
        Broken("release", f"{BASE}/web.yaml", "{ maxUnavailable: 0, maxSurge: 1 }", instead)
        for instead in (
            "{ maxUnavailable: 100%, maxSurge: 1 }",
            "{ maxUnavailable: 1, maxSurge: 1 }",
            "{ maxSurge: 1 }",
        )
    ),
    Broken(
        "release",
        f"{BASE}/web.yaml",
        "    type: RollingUpdate\n    rollingUpdate: { maxUnavailable: 0, maxSurge: 1 }",
        "    type: Recreate",
    ),
    Broken("release", f"{BASE}/web.yaml", "maxUnavailable: 1 #", "maxUnavailable: 100% #"),
    Broken("release", f"{BASE}/web.yaml", "maxUnavailable: 1 #", "maxUnavailable: 2 #"),
    Broken("release", f"{BASE}/migrate.yaml", "backoffLimit: 0", "parallelism: 0"),
    Broken("release", f"{BASE}/migrate.yaml", "backoffLimit: 0", "suspend: true"),
    Broken("release", f"{BASE}/migrate.yaml", "name: migrate-SHA", "name: migrate"),
    # Numbers that are none: nothing else is looked at.
    *(
        Broken("variables", f"{BASE}/{file}.yaml", there, instead)
        for file, there, instead in (
            ("web", "PeriodSeconds: 45", 'PeriodSeconds: "45"'),
            ("worker", "PeriodSeconds: 35", "PeriodSeconds: 35s"),
            ("scheduler", "PeriodSeconds: 35", "PeriodSeconds: -1"),
            ("worker", "replicas: 2", 'replicas: "2"'),
            ("web", "maxReplicas: 6", "maxReplicas: true"),
            ("web", "minReplicas: 2", "minReplicas: 2.5"),
            ("web", "seconds: 10 }", "seconds: ten }"),
            ("web", "timeoutSeconds: 3 #", "timeoutSeconds: 3s #"),
            ("web", "maxUnavailable: 1 #", "maxUnavailable: one #"),
            ("migrate", "backoffLimit: 0", "parallelism: one"),
        )
    ),
    Broken("variables", f"{STAGING}/smaller.yaml", "minReplicas: 1", "minReplicas: one"),
    Broken("variables", f"{STAGING}/kustomization.yaml", "", ""),
    Broken("variables", f"{PRODUCTION}/kustomization.yaml", "", ""),
    Broken("collisions", "Dockerfile", "", ""),
    Broken(
        "schema", f"{BASE}/web.yaml", "maxUnavailable: 0,", "maxUnavailable: none-at-all, max: 1,"
    ),
    Broken("schema", f"{BASE}/web.yaml", "averageUtilization: 70", "averageUtilization: 70%"),
    Broken("schema", f"{BASE}/migrate.yaml", "backoffLimit: 0", "backOffLimit: 0"),
    Broken("schema", f"{BASE}/network.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: All"),
    Broken("schema", f"{STAGING}/smaller.yaml", "minReplicas: 1", "minReplicas: 1, most: 2"),
    Broken("schema", f"{STAGING}/kustomization.yaml", "namespace: slipway-staging", "namespace: 7"),
]
