"""The JSON of ECS is what AWS takes, and the two stages are one; the page says what is there."""

import http.server
import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ListShape, ServiceModel, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator

from deploy.check import check
from deploy.manifest import KINDS
from deploy.rules.budgets import PATIENCE
from service import server
from service.__main__ import parser
from service.environment import ROOT
from service.settings import Settings

ECS = ROOT / "deploy" / "ecs"
README = (ECS / "README.md").read_text()
STAGES = ("production", "staging")
# The words that people put theirs in place of, and what theirs look like.
WORDS = {
    "ACCOUNT": ("111122223333", r"\d{12}"),
    "REGION": ("eu-central-1", r"[a-z]{2}-[a-z]+-\d"),
    "VPC": ("vpc-0a1b2c3d", r"vpc-[0-9a-f]+"),
    "SUBNET_A": ("subnet-0a1b2c3d", r"subnet-[0-9a-f]+"),
    "SUBNET_B": ("subnet-4e5f6a7b", r"subnet-[0-9a-f]+"),
    "SECURITY_GROUP": ("sg-0a1b2c3d", r"sg-[0-9a-f]+"),
    "SUFFIX": ("Ab12Cd", r"(?<=slipway/STAGE-)\w{6}"),
    "TARGET_GROUP": ("73e2d6bc24d8a067", r"(?<=targetgroup/slipway-STAGE/)[0-9a-f]{16}"),
}
# What each file is given to: a service of AWS and its calls, with what the command adds to it.
SERVICE = {"serviceName": "web", "taskDefinition": "slipway-production-web"}
UPDATE = {"service": "web", "taskDefinition": "slipway-production-web"}
CALLS: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    **{f"{kind}.task.json": [("ecs", "RegisterTaskDefinition", {})] for kind in KINDS},
    **{
        f"{kind}.service.json": [
            ("ecs", "CreateService", SERVICE),
            ("ecs", "UpdateService", UPDATE),
        ]
        for kind in KINDS
        if kind != "migrate"
    },
    "migrate.run.json": [("ecs", "RunTask", {"taskDefinition": "slipway-production-migrate"})],
    "scaling-target.json": [("application-autoscaling", "RegisterScalableTarget", {})],
    "target-group.json": [("elbv2", "CreateTargetGroup", {})],
}
SHARED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "scaling-policy.json": (
        "application-autoscaling",
        "PutScalingPolicy",
        {"ResourceId": "service/x/web"},
    ),
    "target-group-attributes.json": (
        "elbv2",
        "ModifyTargetGroupAttributes",
        {"TargetGroupArn": "arn"},
    ),
    "load-balancer-attributes.json": (
        "elbv2",
        "ModifyLoadBalancerAttributes",
        {"LoadBalancerArn": "arn"},
    ),
}
GIVEN = [
    *(
        pytest.param(f"{stage}/{name}", *call, id=f"{stage}-{name}-{call[1]}")
        for stage in STAGES
        for name, calls in CALLS.items()
        for call in calls
    ),
    *(pytest.param(name, *call, id=name) for name, call in SHARED.items()),
]


def of(name: str) -> Any:
    return json.loads((ECS / name).read_text())


def unfilled(text: str) -> str:
    """Without the values that people have put in, which may differ between the stages."""
    for stage in STAGES:
        text = text.replace(stage, "STAGE")
    for word, (_, theirs) in WORDS.items():
        text = re.sub(theirs, word, text)
    return text.replace("SUBNET_B", "SUBNET_A")


def container(stage: str, kind: str) -> Any:
    (found,) = of(f"{stage}/{kind}.task.json")["containerDefinitions"]
    return found


def environment(stage: str, kind: str) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(stage, kind)["environment"]}


@pytest.fixture(scope="session")
def refused() -> Callable[[str, str, Any], list[str]]:
    """What AWS's own model of a call says against parameters."""
    loader = Loader()
    models = {
        name: ServiceModel(loader.load_service_model(name, "service-2"), name)
        for name in ("ecs", "elbv2", "application-autoscaling")
    }

    def look(service: str, call: str, given: Any) -> list[str]:
        shape = models[service].operation_model(call).input_shape
        report = ParamValidator().validate(given, shape).generate_report()
        return [*([report] if report else []), *no_word_of(shape, given)]

    return look


def no_word_of(shape: Shape | None, given: Any) -> Iterator[str]:
    """Words that are none of an enumeration, which the validator does not look at."""
    if isinstance(shape, StructureShape):
        for name, value in given.items():
            yield from no_word_of(shape.members.get(name), value)
    elif isinstance(shape, ListShape):
        for value in given:
            yield from no_word_of(shape.member, value)
    elif isinstance(shape, StringShape) and shape.enum and given not in shape.enum:
        yield f"{given} is none of {shape.enum}"


@pytest.mark.parametrize(("name", "service", "call", "more"), GIVEN)
def test_aws_takes_each_file_as_it_lies_there(
    refused: Callable[[str, str, Any], list[str]],
    name: str,
    service: str,
    call: str,
    more: dict[str, Any],
) -> None:
    assert refused(service, call, of(name) | more) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"families": "x"}, "Unknown parameter in input"),
        ({"family": "x", "containerDefinitions": [{"essential": 1}]}, "Invalid type"),
        ({"family": "x", "containerDefinitions": [], "networkMode": "vpc"}, "vpc is none of"),
    ],
)
def test_aws_refuses_what_is_wrong(
    refused: Callable[[str, str, Any], list[str]], given: Any, said: str
) -> None:
    assert said in str(refused("ecs", "RegisterTaskDefinition", given))


def test_each_file_is_given_to_a_call() -> None:
    policies = {"execution-policy.json"}
    for stage in STAGES:
        assert {each.name for each in (ECS / stage).iterdir()} == {*CALLS, *policies}
    assert {each.name for each in ECS.glob("*.json")} == {*SHARED, "trust-policy.json"}


def test_the_stages_differ_in_size_and_in_nothing_else() -> None:
    for name in [*CALLS, "execution-policy.json"]:
        production, staging = (
            unfilled((ECS / stage / name).read_text()).splitlines() for stage in STAGES
        )
        assert len(production) == len(staging)
        for one, other in zip(production, staging, strict=True):
            key = one.split('"')[1] if '"' in one else one
            assert one == other or key in {"cpu", "memory", "MinCapacity", "MaxCapacity"}, name


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_secrets_are_those_of_the_stage(stage: str, kind: str) -> None:
    names = []
    for each in container(stage, kind)["secrets"]:
        names.append(each["name"])
        secret = rf"arn:aws:secretsmanager:[\w-]+:\w+:secret:slipway/{stage}-\w+:{names[-1]}::"
        assert re.fullmatch(secret, each["valueFrom"])
    assert len(names) == len(set(names)) >= 3
    assert kind == "web" or "SMOKE_TOKEN" not in names
    assert "taskRoleArn" not in of(f"{stage}/{kind}.task.json")  # so it has no rights at all


@pytest.mark.parametrize("stage", STAGES)
def test_the_execution_role_may_do_nothing_beyond_its_stage(stage: str) -> None:
    allowed = {}
    for statement in of(f"{stage}/execution-policy.json")["Statement"]:
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            allowed[action] = statement["Resource"]
    assert {action: unfilled(resource) for action, resource in allowed.items()} == {
        "ecr:GetAuthorizationToken": "*",  # AWS knows no resource for it
        "ecr:BatchCheckLayerAvailability": "arn:aws:ecr:REGION:ACCOUNT:repository/slipway",
        "ecr:BatchGetImage": "arn:aws:ecr:REGION:ACCOUNT:repository/slipway",
        "ecr:GetDownloadUrlForLayer": "arn:aws:ecr:REGION:ACCOUNT:repository/slipway",
        "logs:CreateLogStream": "arn:aws:logs:REGION:ACCOUNT:log-group:/ecs/slipway-STAGE:*",
        "logs:PutLogEvents": "arn:aws:logs:REGION:ACCOUNT:log-group:/ecs/slipway-STAGE:*",
        "secretsmanager:GetSecretValue": (
            "arn:aws:secretsmanager:REGION:ACCOUNT:secret:slipway/STAGE-SUFFIX"
        ),
    }
    secret = container(stage, "web")["secrets"][0]["valueFrom"].split(":DATABASE_URL")[0]
    assert allowed["secretsmanager:GetSecretValue"] == secret


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_container_may_write_to_tmp_and_nowhere_else(stage: str, kind: str) -> None:
    found = container(stage, kind)
    assert f"USER {found['user']}" in (ROOT / "Dockerfile").read_text()
    assert found["readonlyRootFilesystem"] is True
    linux = found["linuxParameters"]
    assert linux["capabilities"] == {"drop": ["ALL"]}
    assert linux["initProcessEnabled"] is True  # it hands SIGTERM to the command, and reaps
    (tmp,) = linux["tmpfs"]
    assert tmp["containerPath"] == "/tmp"


# CPU units and the MiB that Fargate has with them.
SIZES = {"256": {512, 1024, 2048}, "512": {1024, 2048, 3072, 4096}}


@pytest.mark.parametrize("stage", STAGES)
def test_what_runs_in_a_task_fits_into_its_memory(stage: str) -> None:
    for kind in KINDS:
        task = of(f"{stage}/{kind}.task.json")
        left = int(task["memory"])
        assert left in SIZES[task["cpu"]]
        left -= container(stage, kind)["linuxParameters"]["tmpfs"][0]["size"]
        if kind == "web":
            wanted = int(environment(stage, "web")["WEB_CONCURRENCY"])
            assert server.fitting(wanted, left * 2**20).count == wanted
        if kind == "worker":
            each = Settings.model_fields["worker_memory"].default
            children = int(environment(stage, "worker")["WORKER_CONCURRENCY"])
            assert (children * each >> 20) + 128 <= left


@pytest.mark.parametrize("stage", STAGES)
def test_requests_find_web(stage: str) -> None:
    (balancer,) = of(f"{stage}/web.service.json")["loadBalancers"]
    web = container(stage, "web")
    assert balancer["containerName"] == web["name"]
    assert [each["containerPort"] for each in web["portMappings"]] == [balancer["containerPort"]]
    assert of(f"{stage}/target-group.json")["Port"] == balancer["containerPort"]
    assert of(f"{stage}/target-group.json")["Name"] in balancer["targetGroupArn"]
    assert f"'localhost', {balancer['containerPort']}," in web["healthCheck"]["command"][-1]


@pytest.mark.parametrize("stage", STAGES)
def test_who_is_not_ready_is_left_alone_for_longer_than_a_failover(stage: str) -> None:
    """ECS replaces who fails the load balancer's check; a database changes over in 2 minutes."""
    group = of(f"{stage}/target-group.json")
    assert group["HealthCheckIntervalSeconds"] * group["UnhealthyThresholdCount"] >= 150
    assert 2 < group["HealthCheckTimeoutSeconds"] < group["HealthCheckIntervalSeconds"]


def test_a_request_under_way_ends_before_its_container_is_told() -> None:
    attributes = {
        each["Key"]: each["Value"] for each in of("target-group-attributes.json")["Attributes"]
    }
    longest = Settings.model_fields["database_statement_timeout"].default.total_seconds() + PATIENCE
    assert float(attributes["deregistration_delay.timeout_seconds"]) >= longest


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", ["worker", "scheduler"])
def test_worker_and_scheduler_are_asked_by_the_service_itself(stage: str, kind: str) -> None:
    check = container(stage, kind)["healthCheck"]
    form, *words = check["command"]
    assert (form, words[:3]) == ("CMD", ["python", "-m", "service"])
    assert parser().parse_args(words[3:]).process == kind
    # A quarter of a CPU needs 10 s for it, and it waits up to 5 s each for a database and a Redis
    # that are down: who is asked too often, or given too little time, is replaced for nothing.
    assert 20 < check["timeout"] < check["interval"]


@pytest.fixture
def web() -> Iterator[http.server.HTTPServer]:
    """Answers /health/live with 200, and the rest with 503."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health/live" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever).start()
        yield found
        found.shutdown()


@pytest.mark.parametrize("stage", STAGES)
def test_web_lives_while_it_answers_though_it_is_not_ready(
    web: http.server.HTTPServer, stage: str
) -> None:
    _, python, *words = container(stage, "web")["healthCheck"]["command"]
    assert python == "python"

    def ends(port: int, path: str = "/health/live") -> int:
        program = words[-1].replace("8000", str(port)).replace("/health/live", path)
        command = [sys.executable, *words[:-1], program]
        return subprocess.run(command, stderr=subprocess.DEVNULL).returncode

    assert ends(web.server_port) == 0
    assert ends(web.server_port, "/health/ready") == 1
    assert ends(9) == 1


def test_the_page_names_each_word_that_is_to_be_replaced() -> None:
    values = [
        value
        for each in ECS.rglob("*.json")
        for value in re.findall(r'"([^"]*)"', each.read_text())
    ]
    of_aws = r"FARGATE|LINUX|X86_64|DISABLED|HTTP|CMD|GET|ALL"
    for word in re.findall(r"\b[A-Z][A-Z_]{2,}\b", " ".join(values)):
        setting = word.lower() in Settings.model_fields
        assert setting or word in {*WORDS, "SHA"} or re.fullmatch(of_aws, word), word
    for word in WORDS:
        assert f"`{word}`" in README, word
        assert f"s/{word}/" in README, word


@pytest.mark.parametrize("name", sorted(str(each.relative_to(ECS)) for each in ECS.rglob("*.json")))
def test_each_word_can_be_replaced_wherever_it_stands(name: str) -> None:
    text = (ECS / name).read_text()
    filled = text
    for word, (value, _) in WORDS.items():
        filled = filled.replace(word, value)
    json.loads(filled)
    assert unfilled(filled) == unfilled(text)
    assert not [word for word in WORDS if word in filled]


def test_the_page_speaks_of_files_that_are_there() -> None:
    named = re.findall(r"file://([\w./-]+\.json)", README + (ECS / "release.sh").read_text())
    assert len(named) > 10
    for each in named:
        for stage in STAGES:
            assert (ECS / stage / each).exists(), each


@pytest.mark.parametrize(
    ("name", "there", "instead", "said"),
    [
        ("load-balancer-attributes.json", '"60"', '"long"', "long is no whole number"),
        ("target-group-attributes.json", '"30"', '"-1"', "-1 is no whole number"),
        ("staging/scaling-target.json", '": 2', '": "2"', "MaxCapacity is '2', and must be"),
        ("production/web.task.json", '"stopTimeout": 60', '"stopTimeout": "60"', "stopTimeout is"),
        ("release.sh", None, "", "release.sh:1: is empty"),
    ],
)
def test_what_cannot_be_read_is_one_finding_with_its_line(
    tmp_path: Path, name: str, there: str | None, instead: str, said: str
) -> None:
    for each in (*ECS.rglob("*.json"), ECS / "release.sh"):
        copy = tmp_path / each.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(each.read_text())
    broken = tmp_path / "deploy" / "ecs" / name
    before = broken.read_text()
    assert there is None or there in before
    broken.write_text(before.replace(there, instead) if there else instead)
    table = check(tmp_path, "ecs", None)
    (finding,) = (each for column in table.values() if isinstance(column, list) for each in column)
    assert said in finding.what
    assert finding.place.file == f"deploy/ecs/{name}"
    lines = broken.read_text().splitlines()
    assert not lines or instead in lines[finding.place.line - 1]


def test_what_is_built_is_what_the_tasks_run_on() -> None:
    for stage in STAGES:
        for kind in KINDS:
            platform = of(f"{stage}/{kind}.task.json")["runtimePlatform"]
            assert platform == {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"}
    (build,) = re.findall(r"^docker build .*", README, re.M)
    assert "--platform=linux/amd64" in shlex.split(build)
