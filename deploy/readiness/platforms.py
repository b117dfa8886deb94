"""What to type at each target for what cannot be seen from here.

Add a target: an entry, between its two lines, which `make target-remove` looks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_RDS = (
    "aws rds describe-db-instances --query"
    " 'DBInstances[].[DBInstanceIdentifier,BackupRetentionPeriod,LatestRestorableTime]'"
)


@dataclass(frozen=True)
class Looks:
    """Commands of the target's own tools, or where its dashboard has it; none prints a secret."""

    secrets: str  # which variables are set
    backups: str  # those of the database, and when they were made
    rollback: str  # what there is to go back to
    domain: str  # the name that users ask for
    suffix: str = ""  # of the names that the platform gives


LOOKS: Mapping[str, Looks] = {
    # target: cloudrun
    "cloudrun": Looks(
        secrets="gcloud secrets list --filter=name~{app}",
        backups="gcloud sql backups list --instance INSTANCE",
        rollback="gcloud run revisions list --service {app} --region REGION",
        domain="gcloud compute forwarding-rules list",
        suffix=".run.app",
    ),
    # end of target: cloudrun
    # target: digitalocean
    "digitalocean": Looks(
        secrets="doctl apps spec get APP-ID",
        backups="doctl databases backups DATABASE-ID",
        rollback="doctl apps list-deployments APP-ID",
        domain="doctl apps get APP-ID",
        suffix=".ondigitalocean.app",
    ),
    # end of target: digitalocean
    # target: docker
    "docker": Looks(
        secrets="ls -l /etc/slipway/secrets/service",
        backups="none is made for you: pg_dump in the container postgres, copied elsewhere",
        rollback="python -m deploy docker status",
        domain="openssl x509 -noout -subject -enddate -in /etc/slipway/tls/fullchain.pem",
    ),
    # end of target: docker
    # target: ecs
    "ecs": Looks(
        secrets="aws secretsmanager get-secret-value --secret-id {name}/{stage}"
        " --query SecretString --output text | jq keys",
        backups=_RDS,
        rollback="aws ecs list-service-deployments --cluster {name}-{stage} --service web",
        domain="aws elbv2 describe-load-balancers --query 'LoadBalancers[].DNSName'",
        suffix=".amazonaws.com",
    ),
    # end of target: ecs
    # target: elasticbeanstalk
    "elasticbeanstalk": Looks(
        secrets="aws ssm get-parameters-by-path --path /{name}/{stage}"
        " --query 'Parameters[].[Name,LastModifiedDate]'",
        backups=_RDS,
        rollback="aws elasticbeanstalk describe-application-versions --application-name {name}",
        domain="eb status {name}-{stage}",
        suffix=".elasticbeanstalk.com",
    ),
    # end of target: elasticbeanstalk
    # target: fly
    "fly": Looks(
        secrets="fly secrets list --app {app}",
        backups="fly mpg backup list CLUSTER-ID",
        rollback="fly releases --app {app} --image",
        domain="fly certs list --app {app}",
        suffix=".fly.dev",
    ),
    # end of target: fly
    # target: heroku
    "heroku": Looks(
        secrets="heroku config --app {app} --json | jq keys",
        backups="heroku pg:backups --app {app}, and heroku pg:backups:schedules --app {app}",
        rollback="heroku releases --app {app}",
        domain="heroku domains --app {app}",
        suffix=".herokuapp.com",
    ),
    # end of target: heroku
    # target: kubernetes
    "kubernetes": Looks(
        secrets="kubectl --namespace {app} describe secret {name}",
        backups="what has your PostgreSQL: its own list of back-ups",
        rollback="kubectl --namespace {app} rollout history deployment/web",
        domain="kubectl --namespace {app} get ingress",
    ),
    # end of target: kubernetes
    # target: railway
    "railway": Looks(
        secrets="railway variable list --service web --json | jq keys",
        backups="the dashboard: PostgreSQL, Backups",
        rollback="railway deployment list --service web",
        domain="railway domain --service web",
        suffix=".up.railway.app",
    ),
    # end of target: railway
    # target: render
    "render": Looks(
        secrets="the dashboard: the environment group {app}",
        backups="the dashboard: the database, Recovery",
        rollback="the dashboard: web, Events",
        domain="the dashboard: web, Settings, Custom Domains",
        suffix=".onrender.com",
    ),
    # end of target: render
    # target: vps
    "vps": Looks(
        secrets="python -m deploy vps env list",
        backups="python -m deploy vps backups",
        rollback="python -m deploy vps status",
        domain="python -m deploy vps status",
    ),
    # end of target: vps
}
