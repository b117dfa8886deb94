"""How the manifests of elasticbeanstalk are broken, and what has nothing to say of them."""

from tests.deploy.broken import Broken

EB = "deploy/elasticbeanstalk"
SERVICE = f"{EB}/bundle/.ebextensions/10-service.config"
PROCFILE = f"{EB}/bundle/Procfile"
MIGRATE = f"{EB}/bundle/.platform/hooks/predeploy/10_migrate.sh"
PRODUCTION, STAGING = f"{EB}/stages/production.config", f"{EB}/stages/staging.config"
SAVED = f"{EB}/production.cfg.yml"
HOPS = 'PROXY_HOPS: "2"'
BROKEN = [
    Broken("variables", PRODUCTION, "REDIS_URL: arn", "REDIS_URI: arn"),
    Broken("variables", STAGING, "    DATABASE_URL: arn", "    # arn"),
    Broken("variables", PRODUCTION, "APP_ENV: production", "APP_ENV: staging"),
    Broken("variables", STAGING, "APP_ENV: staging", "APP_ENV: production"),
    Broken(
        "variables",
        PRODUCTION,
        "arn:aws:ssm:REGION:ACCOUNT:parameter/slipway/production/JWT_SECRET",
        "written-out",
    ),
    Broken("variables", PRODUCTION, "APP_ENV: production", "SMTP_URL: smtp://user:pass@mail"),
    Broken("variables", SERVICE, "PORT:", "PROT:"),
    Broken("variables", SERVICE, 'DATABASE_POOL_SIZE: "2"', 'DATABASE_POOL_SIZE: "five"'),
    Broken("variables", SERVICE, 'DATABASE_POOL_SIZE: "2"', 'DATABASE_POOL_SIZE: "9"'),
    Broken("processes", PROCFILE, "service worker", "service clerk"),
    Broken("processes", PROCFILE, "web: python -m service web", "web: flask run"),
    Broken("processes", PROCFILE, "scheduler: python -m service scheduler\n", ""),
    Broken("processes", MIGRATE, "python -m service migrate", "python -m service upgrade"),
    Broken("processes", MIGRATE, "", ""),
    Broken("health", SERVICE, "HealthCheckPath: /health/ready", "HealthCheckPath: /health/live"),
    Broken("health", SERVICE, "    HealthCheckPath: /health/ready\n", ""),
    Broken("migration", MIGRATE, "python -m service migrate", "true"),
    Broken("migration", MIGRATE, "", ""),
    Broken("time", SERVICE, HOPS, f"{HOPS}\n    SHUTDOWN_GRACE: 88s"),
    Broken("time", SERVICE, HOPS, f"{HOPS}\n    DATABASE_STATEMENT_TIMEOUT: 46s"),
    Broken("time", SAVED, 'IdleTimeout: "50"', 'IdleTimeout: "15"'),
    Broken("proxies", SERVICE, HOPS, 'PROXY_HOPS: "1"'),
    Broken("proxies", SERVICE, HOPS, 'WEB_THREADS: "4"'),
    Broken("connections", SAVED, 'MaxSize: "10"', 'MaxSize: "20"'),
    Broken("connections", SERVICE, 'DATABASE_POOL_MAX: "4"', 'DATABASE_POOL_MAX: "20"'),
    Broken("python", f"{EB}/README.md", "Python 3.13 running on", "Python 3.12 running on"),
    Broken("collisions", ".ebextensions/1.config", "", "option_settings: {}"),
    Broken("collisions", ".platform/x", "", "x"),
    Broken("collisions", "docker-compose.yml", "", "services: {}"),
    Broken("collisions", "requirements.txt", "", ""),
    Broken("schema", SERVICE, "HealthCheckPath:", "HealthCheckURL:"),
    Broken("schema", SERVICE, "aws:elasticbeanstalk:environment:proxy:", "aws:proxy:"),
    Broken("schema", SERVICE, 'Port: "80"', "Port: 80"),
    Broken("schema", SAVED, "RollingWithAdditionalBatch", "BlueGreen"),
    Broken("schema", SAVED, 'ListenerEnabled: "true"', "ListenerEnabled: true"),
    Broken("schema", f"{EB}/staging.cfg.yml", "LoadBalancerType: application", "Balancer: any"),
    Broken("schema", STAGING, "arn:aws:ssm:", "arn:aws:s3:"),
]
SILENT = {
    "port": "nginx on the instance is told PORT too",
    "deprecated": "no form of ours is",
}
