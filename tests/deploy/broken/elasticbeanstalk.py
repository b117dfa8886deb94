"""How the manifests of elasticbeanstalk are broken."""

from tests.deploy.broken import Broken

EB = "deploy/elasticbeanstalk"
SERVICE = f"{EB}/bundle/.ebextensions/10-service.config"
PROCFILE = f"{EB}/bundle/Procfile"
MIGRATE = f"{EB}/bundle/.platform/hooks/predeploy/10_migrate.sh"
PRODUCTION, STAGING = f"{EB}/stages/production.config", f"{EB}/stages/staging.config"
SAVED, SAVED_STAGING = f"{EB}/production.cfg.yml", f"{EB}/staging.cfg.yml"
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
    # What leads to the other stage, or nowhere.
    *(
        Broken("references", file, there.replace("STAGE", stage), instead.replace("OTHER", other))
        for file, stage, other in (
            (PRODUCTION, "production", "staging"),
            (STAGING, "staging", "production"),
        )
        for there, instead in (
            ("slipway/STAGE/DATABASE_URL", "slipway/OTHER/DATABASE_URL"),
            ("slipway/STAGE/REDIS_URL", "slipway/OTHER/REDIS_URL"),
            ("slipway/STAGE/JWT_SECRET", "slipway/OTHER/JWT_SECRET"),
            ("slipway/STAGE/SMOKE_TOKEN", "slipway/OTHER/SMOKE_TOKEN"),
            ("slipway/STAGE/JWT_SECRET", "slipwy/OTHER/JWT_SECRET"),
            ("STAGE/JWT_SECRET", "STAGE/JWT_SECRTE"),
            ("arn:aws:ssm:", "arn:aws:secretsmanager:"),
        )
    ),
    Broken("references", SAVED, ": slipway-production", ": slipway-staging"),
    Broken("references", SAVED, "    IamInstanceProfile: slipway-production\n", ""),
    Broken("references", SAVED_STAGING, ": slipway-staging", ": slipway-production"),
    Broken("references", SAVED_STAGING, ": slipway-staging", ": slipway-stagin"),
    Broken("references", SAVED, "ServiceRole: slipway-", "ServiceRole: slipwy-"),
    Broken("references", SAVED, "Updates: slipway-", "Updates: slipwy-"),
    Broken("references", f"{EB}/roles.yaml", "ProfileName: slipway-p", "ProfileName: x"),
    Broken("references", f"{EB}/roles.yaml", "RoleName: slipway-elastic", "RoleName: elastic"),
    # Where the balancer sends requests, and what it takes for ready.
    Broken("port", SERVICE, 'Port: "80"', 'Port: "81"'),
    Broken("port", SERVICE, 'Port: "80"', 'Port: "8000"'),
    Broken("port", SERVICE, "Protocol: HTTP\n", "Protocol: HTTPS\n"),
    Broken("port", SERVICE, "ProxyServer: nginx", "ProxyServer: none"),
    Broken("health", SERVICE, 'MatcherHTTPCode: "200"', "MatcherHTTPCode: 200-599"),
    Broken("health", SERVICE, 'HealthCheckTimeout: "5"', 'HealthCheckTimeout: "2"'),
    # What a deploy loses.
    *(
        Broken("release", file, there, instead)
        for file in (SAVED, SAVED_STAGING)
        for there, instead in (
            ("RollingWithAdditionalBatch", "AllAtOnce"),
            ("RollingWithAdditionalBatch", "Rolling"),
            ("    DeploymentPolicy: RollingWithAdditionalBatch\n", ""),
            ('RollingUpdateEnabled: "true"', 'RollingUpdateEnabled: "false"'),
            ("RollingUpdateType: Immutable", "RollingUpdateType: Time"),
            ("EnvironmentType: LoadBalanced", "EnvironmentType: SingleInstance"),
            ('MinSize: "', 'MinSize: "0" # "'),
            ('MinSize: "', 'MinSize: "11'),
        )
    ),
    Broken("release", SERVICE, 'DeregistrationDelay: "30"', 'DeregistrationDelay: "0"'),
    Broken("release", SERVICE, HOPS, f"{HOPS}\n    DATABASE_STATEMENT_TIMEOUT: 40s"),
    Broken("connections", SAVED_STAGING, 'MaxSize: "2"', 'MaxSize: "200"'),
    # The hook goes on, though the migration failed.
    Broken("migration", MIGRATE, "set -euo pipefail", "set -uo pipefail"),
    Broken("migration", MIGRATE, "set -euo pipefail\n", ""),
    Broken("migration", MIGRATE, "set -euo pipefail\n", "set -euo pipefail\nset +e\n"),
    Broken("processes", MIGRATE, "python -m service migrate", "python -m service migrate || true"),
    # Numbers that are none, and files that are not there: nothing else is looked at.
    *(
        Broken("variables", file, there, instead)
        for file, there, instead in (
            (SAVED, 'MinSize: "2"', 'MinSize: "two"'),
            (SAVED, 'MaxSize: "10"', 'MaxSize: "-1"'),
            (SAVED_STAGING, 'MaxSize: "2"', 'MaxSize: "2.5"'),
            (SAVED_STAGING, 'IdleTimeout: "50"', 'IdleTimeout: "50s"'),
            (SERVICE, 'Port: "80"', "Port: http"),
            (SERVICE, 'DeregistrationDelay: "30"', "DeregistrationDelay: true"),
            (SERVICE, 'HealthCheckTimeout: "5"', "HealthCheckTimeout: 5s"),
            (SAVED_STAGING, "", ""),
            (PRODUCTION, "", ""),
            (f"{EB}/roles.yaml", "", ""),
        )
    ),
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
