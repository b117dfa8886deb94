"""How the manifests of cloudrun are broken."""

from tests.deploy.broken import Broken

RUN = "deploy/cloudrun/production"
STAGES = {"production": "slipway", "staging": "slipway-staging"}
POOLS = ("worker", "scheduler")
FILES = ("service", "worker", "scheduler", "migrate")
INTERFACE = '{"network": "NETWORK", "subnetwork": "SUBNET"}'
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
    Broken("processes", f"{RUN}/worker.yaml", "service, worker]", "service, worker, --help]"),
    Broken("processes", f"{RUN}/worker.yaml", "kind: WorkerPool", "kind: Service"),
    Broken(
        "processes",
        f"{RUN}/worker.yaml",
        "service, worker]\n",
        "service, worker]\n          args: [--help]\n",
    ),
    Broken("variables", f"{RUN}/worker.yaml", "[python, -m, service, worker]", "python"),
    Broken("variables", f"{RUN}/service.yaml", 'maxScale: "4"', "maxScale: many"),
    Broken("variables", f"{RUN}/service.yaml", "containerPort: 8080", "containerPort: http"),
    Broken("variables", f"{RUN}/worker.yaml", 'InstanceCount: "1"', "InstanceCount: 1.5"),
    Broken("health", f"{RUN}/service.yaml", "startupProbe: { httpGet", "startupProbe: { tcpSocket"),
    Broken("port", f"{RUN}/service.yaml", "/health/ready }", "/health/ready, port: 8000 }"),
    Broken("port", f"{RUN}/service.yaml", "/health/live }", "/health/live, port: 8000 }"),
    Broken("port", f"{RUN}/service.yaml", "PROXY_HOPS, value", "PORT, value"),
    Broken(
        "port",
        f"{RUN}/service.yaml",
        '{ name: PROXY_HOPS, value: "1" }',
        '{ name: PORT, value: "8080" }',
    ),
    Broken("time", f"{RUN}/service.yaml", "value: 6s", "value: 9s"),
    Broken("time", f"{RUN}/worker.yaml", "value: 6s", "value: 9s"),
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
    Broken("migration", "deploy/cloudrun/README.md", "gcloud run jobs replace", "true"),
    *(
        Broken("migration", f"deploy/cloudrun/{stage}/migrate.yaml", f"name: {app}-", "name: our-")
        for stage, app in STAGES.items()
    ),
    Broken("connections", f"{RUN}/service.yaml", 'maxScale: "4"', 'maxScale: "40"'),
    Broken(
        "connections",
        f"{RUN}/service.yaml",
        '        autoscaling.knative.dev/maxScale: "4"\n',
        "",
    ),
    *(
        Broken("connections", f"{RUN}/{kind}.yaml", 'Count: "1"', f'Count: "{count}"')
        for kind, count in (("worker", 60), ("scheduler", 40))
    ),
    *(
        Broken("release", f"deploy/cloudrun/{stage}/{kind}.yaml", 'Count: "1"', 'Count: "0"')
        for stage in STAGES
        for kind in POOLS
    ),
    *(
        Broken("release", f"deploy/cloudrun/{stage}/service.yaml", there, instead)
        for stage in STAGES
        for there, instead in (
            ('minScale: "1"', 'minScale: "0"'),
            ("autoscaling.knative.dev/minScale", "autoscaling.knative.dev/leastScale"),
            ('invoker-iam-disabled: "true"', 'invoker-iam-disabled: "false"'),
            ("run.googleapis.com/invoker-iam-disabled", "run.googleapis.com/invoker"),
            ("ingress: all", "ingress: internal"),
            ('cpu-throttling: "false"', 'cpu-throttling: "true"'),
            ("run.googleapis.com/cpu-throttling", "run.googleapis.com/cpu"),
            ("\nspec:\n", "\nspec:\n  traffic: [{ revisionName: slipway-1, percent: 100 }]\n"),
        )
    ),
    *(
        Broken("references", f"deploy/cloudrun/{stage}/{kind}.yaml", there, instead)
        for stage in STAGES
        for kind in FILES
        for there, instead in (
            (INTERFACE, ""),
            (INTERFACE, "NETWORK"),
            (INTERFACE, "{}"),
            ("run.googleapis.com/network-interfaces", "run.googleapis.com/networks"),
            ("vpc-access-egress: private-ranges-only", "vpc-access-egress: nothing"),
            ("run.googleapis.com/vpc-access-egress", "run.googleapis.com/egress"),
            (f"slipway-{stage}-database-url", "slipway-database-url"),
            (f"slipway-{stage}-redis-url", f"slipway-{stage}-database-url"),
            ("secretKeyRef: { name:", "secretKeyRef: { secret:"),
            ("slipway:SHA", "slipway:latest"),
            ("/slipway:SHA", "/other:SHA"),
            ("serviceAccountName", "serviceAccount"),
        )
    ),
    *(
        Broken("references", f"deploy/cloudrun/staging/{kind}.yaml", there, instead)
        for kind in FILES
        for there, instead in (
            ("slipway-staging-database-url", "slipway-production-database-url"),
            ("slipway-staging@PROJECT", "slipway@PROJECT"),
        )
    ),
    *(
        Broken("references", f"deploy/cloudrun/staging/{kind}.yaml", "name: slipway-staging", name)
        for kind, name in (("service", "name: slipway"), ("worker", "name: slipway"))
    ),
    Broken("collisions", "Dockerfile", "", ""),
    Broken(
        "schema",
        f"{RUN}/service.yaml",
        "timeoutSeconds: 60",
        "timeoutSeconds: soon",
    ),
]
