"""How the manifests of kubernetes are broken, and what has nothing to say of them."""

from tests.deploy.broken import Broken

HERE = "deploy/kubernetes"
BASE = f"{HERE}/base"
PRODUCTION = f"{HERE}/overlays/production"
STAGING = f"{HERE}/overlays/staging"
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
        "RELEASE=$(mktemp)\n",
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
    Broken("collisions", "Dockerfile", "", ""),
    Broken(
        "schema", f"{BASE}/web.yaml", "maxUnavailable: 0,", "maxUnavailable: none-at-all, max: 1,"
    ),
    Broken("schema", f"{BASE}/web.yaml", "averageUtilization: 70", "averageUtilization: 70%"),
    Broken("schema", f"{BASE}/migrate.yaml", "backoffLimit: 0", "backOffLimit: 0"),
    Broken("schema", f"{BASE}/network.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: All"),
    Broken("schema", f"{STAGING}/smaller.yaml", "minReplicas: 1", "minReplicas: one"),
    Broken("schema", f"{STAGING}/kustomization.yaml", "namespace: slipway-staging", "namespace: 7"),
]
SILENT = {"python": "it builds the Dockerfile"}
