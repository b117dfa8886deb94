"""What each platform's CLI answers, in the form of its own documentation: version OLD serves, OLDER
did before, and NEW is to come."""

import json
from typing import Any

from tests.deploy.clouds import IMAGE, NEW, OLD, OLDER, Row

# target: heroku
HEROKU = (
    Row(
        r"^heroku releases --app slipway --json$",
        [
            {"version": 13, "status": "failed", "current": False, "description": "Deploy 999999"},
            {"version": 12, "status": "succeeded", "current": True, "description": "Set A config"},
            {"version": 11, "status": "succeeded", "current": False, "description": "Deploy 33333"},
        ],
    ),
    Row(r"^git .*ls-remote https://git\.heroku\.com/slipway\.git ", f"{OLD}\trefs/heads/main"),
    Row(r"^git .*push --force https://git\.heroku\.com/slipway\.git (\w+):", serves=r"\1"),
    Row(r"^heroku rollback v12 --app slipway$", serves=OLD),
    Row(r"^heroku rollback v11 --app slipway$", serves=OLDER),
    Row(r"^heroku auth:whoami$"),
)
# end of target: heroku


# target: fly
def _fly(version: int, status: str, tag: str) -> dict[str, object]:
    return {
        "Version": version,
        "Status": status,
        "ImageRef": f"registry.fly.io/slipway:{tag}",
    }


FLY = (
    Row(
        r"^fly releases --app slipway --image --json$",
        [
            _fly(7, "failed", "bad"),
            _fly(6, "complete", "old"),
            _fly(5, "complete", "old"),
            _fly(4, "complete", "older"),
        ],
    ),
    Row(r"^fly deploy --config \S+ --build-arg COMMIT_SHA=(\w+)$", serves=r"\1"),
    Row(r"^fly deploy --config \S+ --image registry.fly.io/slipway:old$", serves=OLD),
    Row(r"^fly deploy --config \S+ --image registry.fly.io/slipway:older$", serves=OLDER),
    Row(r"^fly auth whoami$"),
)
# end of target: fly


# target: render
RENDER = (
    Row(
        r"^render deploys list srv-web ",
        [
            {"id": "dep-3", "status": "update_failed", "commit": {"id": "9" * 40}},
            {"id": "dep-2", "status": "live", "commit": {"id": OLD}},
            {"id": "dep-1", "status": "deactivated", "commit": {"id": OLDER}},
        ],
    ),
    Row(r"^render deploys create srv-web --commit (\w+) --wait --confirm", serves=r"\1"),
    Row(r"^render deploys create srv-(worker|scheduler) --commit \w+ --wait --confirm"),
)
# end of target: render


# target: railway
def _deployments(service: str, back: str = "") -> list[dict[str, str]]:
    found = [("new", "FAILED", 3), ("old", "SUCCESS", 2), ("older", "REMOVED", 1)]
    if back:
        found.append(("back", back, 4))
    return [
        {"id": f"{service}-{name}", "status": status, "createdAt": f"2026-11-0{day}T10:00:00Z"}
        for name, status, day in found
    ]


def _list(service: str) -> str:
    return rf"^railway deployment list --service {service} --environment production --json$"


def _back(service: str, to: str, serves: str = "") -> Row:
    """Once a rollback has begun: a deployment that is not there yet, and then has come about."""
    then = _deployments(service, "SUCCESS")
    out = _deployments(service, "DEPLOYING")
    return Row(_list(service), out, serves, then, f"deploymentRollback.* id={service}-{to}$")


def _edges(**names: str) -> dict[str, Any]:
    return {"edges": [{"node": {"id": id, "name": name}} for name, id in names.items()]}


RAILWAY = (
    Row(
        r"^railway status --json$",
        {
            "environments": _edges(production="env-1", staging="env-2"),
            "services": _edges(postgres="s0", web="s1", worker="s2", scheduler="s3"),
        },
    ),
    _back("web", "old", OLD),
    _back("web", "older", OLDER),
    *(_back(each, "old(er)?") for each in ("worker", "scheduler")),
    *(Row(_list(each), _deployments(each)) for each in ("web", "worker", "scheduler")),
    Row(
        r"serviceInstanceDeployV2.* commit=(\w+) --raw-var service=s1 --raw-var environment=env-1$",
        serves=r"\1",
    ),
    Row(r"serviceInstanceDeployV2.* service=s[23] --raw-var environment=env-1$"),
    Row(r"deploymentRollback.* id=(web|worker|scheduler)-(old|older)$"),
)
# end of target: railway


# target: digitalocean
DIGITALOCEAN = (
    Row(
        r"^doctl apps list --output json$",
        [
            {"id": "app-0", "spec": {"name": "other"}},
            {"id": "app-1", "spec": {"name": "slipway"}, "active_deployment": {"id": "d-old"}},
        ],
    ),
    Row(
        r"^doctl apps list-deployments app-1 ",
        [
            {"id": "d-old", "phase": "ACTIVE", "created_at": "2026-11-02T10:00:00Z"},
            {"id": "d-bad", "phase": "ERROR", "created_at": "2026-11-03T10:00:00Z"},
            {"id": "d-older", "phase": "SUPERSEDED", "created_at": "2026-11-01T10:00:00Z"},
        ],
    ),
    Row(r"^doctl apps create-deployment app-1 --wait$", serves=NEW),
    Row(r'^curl .*"d-(\w+)", .*/v2/apps/app-1/rollback$', r'{"deployment": {"id": "back-\1"}}'),
    Row(r"^doctl apps get-deployment app-1 back-old ", "DEPLOYING", OLD, then="ACTIVE"),
    Row(r"^doctl apps get-deployment app-1 back-older ", "DEPLOYING", OLDER, then="ACTIVE"),
)
# end of target: digitalocean


# target: elasticbeanstalk
_VERSIONS = [
    {"VersionLabel": f"{label}", "DateCreated": f"2026-11-0{day}T10:00:00Z"}
    for day, label in enumerate(
        ("production-1", f"production-{OLDER}", "staging-2", f"production-{OLD}", "production-bad"),
        start=1,
    )
]
ELASTICBEANSTALK = (
    Row(r"^aws elasticbeanstalk describe-environments ", f"production-{OLD}"),
    Row(
        r"^aws elasticbeanstalk describe-application-versions ", {"ApplicationVersions": _VERSIONS}
    ),
    Row(r"^aws sts get-caller-identity$"),
    Row(r"^eb init \S+ --region eu-central-1 "),
    Row(r"^eb deploy slipway-production .*--label production-(\w+) --timeout", serves=r"\1"),
    Row(r"^eb deploy slipway-production .*--version production-(\w+) --timeout", serves=r"\1"),
)
# end of target: elasticbeanstalk


# target: cloudrun
def _revision(number: int, ready: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"slipway-0000{number}",
            "creationTimestamp": f"2026-11-0{number}T10:00:00Z",
        },
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


_TRAFFIC = [{"revisionName": "slipway-00004", "percent": 0, "tag": "x"}]
CLOUDRUN = (
    Row(
        r"^gcloud run services describe slipway ",
        {"status": {"traffic": [*_TRAFFIC, {"revisionName": "slipway-00003", "percent": 100}]}},
    ),
    Row(
        r"^gcloud run revisions list --service slipway ",
        [
            _revision(n, ready)
            for n, ready in ((4, "False"), (3, "True"), (2, "False"), (1, "True"))
        ],
    ),
    Row(r"^gcloud run revisions describe slipway-00003 ", f"{IMAGE}:{OLD}"),
    Row(r"^gcloud run revisions describe slipway-00001 ", f"{IMAGE}:{OLDER}"),
    Row(r"^gcloud run jobs replace .*image: \S+:(\w{40})\n"),
    Row(r"^gcloud run jobs execute slipway-migrate --wait$"),
    Row(r"^gcloud run services replace .*image: \S+:(\w{40})\n", serves=r"\1"),
    Row(r"^gcloud run worker-pools replace .*image: \S+:(\w{40})\n"),
    Row(
        r"^gcloud run services update-traffic slipway --to-revisions=slipway-00003=100", serves=OLD
    ),
    Row(
        r"^gcloud run services update-traffic slipway --to-revisions=slipway-00001=100",
        serves=OLDER,
    ),
    Row(r"^gcloud auth print-access-token$", "token"),
)
# end of target: cloudrun


# target: ecs
_FAMILIES = "arn:aws:ecs:eu-central-1:1:task-definition/"
_ARN = f"{_FAMILIES}slipway-production"
_NEW_TASKS = "\t".join(f"{_ARN}-{each}:9" for each in ("worker", "scheduler", "web"))
ECS = (
    Row(r"^aws ecs describe-services \S+ \S+ --services web ", f"{_ARN}-web:8"),
    Row(r"^aws ecs describe-task-definition .*-web:8 ", f"{IMAGE}:{OLD}"),
    Row(
        r"^aws ecs list-service-deployments ",
        {"serviceDeployments": [{"targetServiceRevisionArn": f"arn:r{n}"} for n in (2, 1)]},
    ),
    Row(
        r'^aws ecs describe-service-revisions --cli-input-json {"serviceRevisionArns": \["arn:r2",',
        {
            "serviceRevisions": [
                {"createdAt": "2026-11-01", "containerImages": [{"image": f"{IMAGE}:{OLDER}"}]},
                {"createdAt": "2026-11-02", "containerImages": [{"image": f"{IMAGE}:{OLD}"}]},
            ]
        },
    ),
    Row(
        r'register-task-definition .*"family": "slipway-production-web".*"image": "[^"]+:(\w{40})"',
        f"{_ARN}-web:9",
        serves=r"\1",
    ),
    Row(r'register-task-definition .*"family": "(slipway-production-\w+)"', rf"{_FAMILIES}\1:9"),
    Row(r"^aws ecs run-task ", "arn:task"),
    Row(r"^aws ecs describe-tasks ", "0\tEssential container in task exited"),
    Row(r"^aws ecs describe-services .* --services worker scheduler web ", _NEW_TASKS),
    Row(r"^aws ecs (wait|update-service) "),
    Row(r"^aws sts get-caller-identity$"),
)
# end of target: ecs


# target: kubernetes
_HISTORY = "deployment.apps/x\nREVISION  CHANGE-CAUSE\n1         <none>\n3  <none>\n2  <none>\n"
KUBERNETES = (
    Row(r"^kubectl --namespace slipway rollout history ", _HISTORY),
    Row(r"^kubectl kustomize deploy/kubernetes/overlays/production$", "image: r.test/slipway:SHA"),
    Row(r"^kubectl apply -f \S+ -l "),
    Row(r"^kubectl apply -f \S+\nimage: \S+:(\w{40})\n", serves=r"\1"),
    Row(r"rollout undo deployment/web --to-revision=3$", serves=OLD),
    Row(r"rollout undo deployment/web --to-revision=2$", serves=OLDER),
    Row(r"rollout undo deployment/(worker|scheduler) --to-revision=[23]$"),
    Row(r"^kubectl --namespace slipway (delete|wait|logs|rollout status|auth can-i) "),
)
# end of target: kubernetes


# target: docker
DOCKER = (
    Row(r"-m deploy docker release \S+:(\w{40})$", serves=r"\1"),
    Row(r"-m deploy docker rollback$", serves=OLD),
    Row(r"^docker version$"),
)
# end of target: docker


# target: vps
VPS = (
    Row(r"-m deploy vps (?:--servers \S+ )?release (\w+)$", serves=r"\1"),
    Row(r"-m deploy vps (?:--servers \S+ )?rollback$", serves=OLD),
)
# end of target: vps


TABLES: dict[str, tuple[Row, ...]] = {
    "cloudrun": CLOUDRUN,  # target: cloudrun
    "digitalocean": DIGITALOCEAN,  # target: digitalocean
    "docker": DOCKER,  # target: docker
    "ecs": ECS,  # target: ecs
    "elasticbeanstalk": ELASTICBEANSTALK,  # target: elasticbeanstalk
    "fly": FLY,  # target: fly
    "heroku": HEROKU,  # target: heroku
    "kubernetes": KUBERNETES,  # target: kubernetes
    "railway": RAILWAY,  # target: railway
    "render": RENDER,  # target: render
    "vps": VPS,  # target: vps
}


def of_stage(target: str, stage: str) -> tuple[Row, ...]:
    """Staging has the same by its own names."""
    text = json.dumps(TABLES[target])
    if stage == "staging":
        text = text.replace("slipway-production", "slipway").replace("production", "staging")
        text = text.replace("slipway", "slipway-staging")
    return tuple(Row(*each) for each in json.loads(text))


VARIABLES = {
    "AWS_REGION": "eu-central-1",
    "DIGITALOCEAN_ACCESS_TOKEN": "a-planted-token",
    "DOCKER_HOST": "ssh://deploy@203.0.113.7",
    "FLY_API_TOKEN": "a-planted-token",
    "HEROKU_API_KEY": "a-planted-token",
    "RAILWAY_TOKEN": "a-planted-token",
    "RENDER_API_KEY": "a-planted-token",
    "RENDER_SCHEDULER_ID": "srv-scheduler",
    "RENDER_WEB_ID": "srv-web",
    "RENDER_WORKER_ID": "srv-worker",
}
