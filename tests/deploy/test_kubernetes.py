"""The manifests of Kubernetes: what the rules of `deploy check` do not ask of every platform, and
that kubectl makes of them what is read here.

What is marked `kubectl` is run by `make check`, and fails where there is none.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.check import check
from deploy.kubernetes import kustomize
from deploy.kubernetes.manifest import FOLDER, read_manifest
from deploy.reading import Node, commands
from deploy.rules.traffic import port
from deploy.shell import Failed
from service import secretstore
from service.environment import ROOT
from tests.deploy.broken import Broken
from tests.deploy.broken.kubernetes import BROKEN
from tests.deploy.cluster import Cluster
from tests.deploy.test_check import break_it

STAGES = ("production", "staging")
Json = dict[str, Any]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / FOLDER, tmp_path / FOLDER, ignore=shutil.ignore_patterns("*.py*"))
    return tmp_path


def documents(root: Path = ROOT, stage: str = "production") -> list[Node]:
    found = kustomize.build(root, f"{FOLDER}/overlays/{stage}")
    return [each for each in found if each.text("kind") != "Kustomization"]


def of_kind(kind: str, stage: str = "production") -> dict[str, Json]:
    """By name, as plain values."""
    found = [each.plain() for each in documents(stage=stage) if each.text("kind") == kind]
    return {each["metadata"]["name"]: each for each in found}


def pods() -> dict[str, Json]:
    return {
        name: each["spec"]["template"]
        for kind in ("Deployment", "Job")
        for name, each in of_kind(kind).items()
    }


def labels(component: str) -> Json:
    return {"app.kubernetes.io/name": "slipway", "app.kubernetes.io/component": component}


def test_who_selects_pods_selects_those_of_its_own_name() -> None:
    for name, each in of_kind("Deployment").items():
        assert each["spec"]["selector"]["matchLabels"] == labels(name)
        assert each["spec"]["template"]["metadata"]["labels"] == labels(name)
        for spread in each["spec"]["template"]["spec"]["topologySpreadConstraints"]:
            assert spread["labelSelector"]["matchLabels"] == labels(name)
    budgets = of_kind("PodDisruptionBudget")
    assert budgets.keys() == of_kind("Deployment").keys()
    for name, each in budgets.items():
        assert each["spec"]["selector"]["matchLabels"] == labels(name)
        assert each["spec"]["maxUnavailable"] == 1


def test_pods_are_what_the_standard_restricted_allows() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    (namespace,) = of_kind("Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(pods()) == 4
    for pod in (each["spec"] for each in pods().values()):
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all(each.keys() == {"name", "emptyDir"} for each in pod["volumes"])
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,  # more than it asks for
            "capabilities": {"drop": ["ALL"]},
        }


def test_pods_know_nothing_of_the_cluster_and_run_as_the_user_of_the_image() -> None:
    (user,) = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.M)
    for pod in (each["spec"] for each in pods().values()):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        context = pod["securityContext"]
        assert (str(context["runAsUser"]), str(context["runAsGroup"])) == user
        assert "memory" in pod["containers"][0]["resources"]["limits"]
        assert pod["containers"][0]["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]


def test_secrets_are_references_by_the_names_of_their_variables() -> None:
    first = commands(ROOT, f"{FOLDER}/README.md", "First deploy")
    given = set(re.findall(r'^echo "(\w+)=', "\n".join(str(each.value) for each in first), re.M))
    asked, needed = set(), set()
    for pod in pods().values():
        for each in pod["spec"]["containers"][0]["env"]:
            reference = each["valueFrom"]["secretKeyRef"]
            assert reference["name"] == "slipway"
            assert reference["key"] == each["name"]
            asked.add(each["name"])
            needed |= set() if reference.get("optional") else {each["name"]}
    assert needed <= given <= asked


def test_worker_and_scheduler_are_asked_by_the_service_itself() -> None:
    for kind in ("worker", "scheduler"):
        (container,) = pods()[kind]["spec"]["containers"]
        for probe in ("startupProbe", "livenessProbe"):
            command = ["python", "-m", "service", "healthcheck", kind]
            assert container[probe]["exec"]["command"] == command
            assert container[probe]["timeoutSeconds"] >= 10  # it gives two servers 5 s each
            lasts = container[probe]["periodSeconds"] * container[probe]["failureThreshold"]
            assert lasts >= 60


@pytest.mark.parametrize("stage", STAGES)
def test_a_rollout_takes_nothing_away_before_the_next_is_ready(stage: str) -> None:
    for each in of_kind("Deployment", stage).values():
        rolling = {"maxUnavailable": 0, "maxSurge": 1}
        assert each["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": rolling}
    web = of_kind("Deployment", stage)["web"]
    assert "replicas" not in web["spec"]  # the autoscaler's: an apply would set them back
    assert of_kind("HorizontalPodAutoscaler", stage)["web"]["spec"]["minReplicas"] >= 1
    (container,) = web["spec"]["template"]["spec"]["containers"]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] >= 5


def test_the_network_lets_in_the_ingress_controller_and_nobody_else() -> None:
    policies = {name: each["spec"] for name, each in of_kind("NetworkPolicy").items()}
    closed = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert [each for each in policies.values() if each == closed]
    (opened,) = (each for each in policies.values() if each.get("ingress"))
    assert opened["podSelector"]["matchLabels"] == labels("web")
    (rule,) = opened["ingress"]
    (source,) = rule["from"]
    assert source.keys() == {"namespaceSelector"}
    out = [rule["ports"] for each in policies.values() for rule in each.get("egress", [])]
    ports = {each["port"] for ports in out for each in ports}
    assert {53, 5432, 6379, 443} <= ports
    assert 80 not in ports  # where a cloud's metadata, and so its credentials, can be had


def test_the_release_s_version_is_all_that_is_replaced() -> None:
    """`sed s/SHA/…/g` must not hit anything else."""
    for each in documents():
        held = each.plain()
        if held["kind"] == "Job":
            assert held["metadata"].pop("name") == "migrate-SHA"
        assert "SHA" not in yaml.safe_dump(held)


BASE, PRODUCTION, STAGING = "base", "overlays/production", "overlays/staging"
REFUSED = [
    (f"{BASE}/kustomization.yaml", "\nresources:", "\nbases:", "bases is nothing that"),
    (f"{BASE}/kustomization.yaml", "    literals:", "    envs:", "envs of configMapGenerator"),
    (f"{BASE}/kustomization.yaml", "PROXY_HOPS=1", "PROXY_HOPS", "PROXY_HOPS is no NAME=value"),
    (f"{BASE}/kustomization.yaml", "name: settings", "name: other", "no ConfigMap settings to"),
    (f"{BASE}/kustomization.yaml", "  - web.yaml", "  - gone.yaml", "gone.yaml is not there"),
    (f"{BASE}/web.yaml", "configMapRef", "secretRef", "there is no ConfigMap None to read"),
    (f"{BASE}/web.yaml", "sleep: { seconds: 10 }", "exec: { command: [a] }", "no sleep"),
    (f"{BASE}/web.yaml", "Deployment, name: web }", "Deployment, name: x }", "no Deployment x"),
    (f"{BASE}/web.yaml", "      containers:", "      inner:", "web has no container"),
    (f"{BASE}/web.yaml", "  selector: { app.", "  selector: { b.", "does not select the pods"),
    (f"{PRODUCTION}/ingress.yaml", "{ name: web, port", "{ name: x, port", "no Service x"),
    (f"{STAGING}/kustomization.yaml", "behavior: merge", "behavior: replace", "replace is"),
    (
        f"{STAGING}/kustomization.yaml",
        "path: smaller",
        "target: {}\n    path: smaller",
        "target of",
    ),
    (f"{BASE}/kustomization.yaml", "  - web.yaml", "  - ../base", "../base would be built out of"),
    (f"{BASE}/kustomization.yaml", "  - web.yaml", "  - .", ". would be built out of itself"),
    (f"{BASE}/kustomization.yaml", "  - web.yaml", "  - ../overlays/production", "out of itself"),
    (f"{BASE}/web.yaml", "Seconds: 45", 'Seconds: "45"', "is '45', and must be a whole number"),
    (f"{STAGING}/smaller.yaml", "{ name: worker }", "{ name: x }", "no Deployment x to"),
    (f"{STAGING}/smaller.yaml", "{ replicas: 1 }", "{ $patch: delete }", "$patch is nothing"),
    (f"{STAGING}/smaller.yaml", "{ replicas: 1 }", "{ finalizers: [a] }", "patch of finalizers"),
]


@pytest.mark.parametrize(("file", "there", "instead", "said"), REFUSED)
def test_what_is_not_understood_is_refused_with_its_line(
    root: Path, file: str, there: str, instead: str, said: str
) -> None:
    break_it(root / FOLDER / file, Broken("read", file, there, instead))
    with pytest.raises(Failed, match=re.escape(said)) as refused:
        read_manifest(root)
    if "is not there" not in str(refused.value):
        named, line, _ = str(refused.value).split(":", 2)
        assert 1 <= int(line) <= len((root / named).read_text().splitlines())


def test_a_patch_gives_its_own_values_and_their_lines(root: Path) -> None:
    path = root / FOLDER / "overlays/staging/smaller.yaml"
    added = "            - { name: LOG_LEVEL, value: DEBUG }"
    path.write_text(
        path.read_text() + "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\n"
        "spec:\n  template:\n    spec:\n      containers:\n        - name: web\n          env:\n"
        f"{added}\n"
        "            - { name: SMOKE_TOKEN, value: written-out, valueFrom: null }\n"
    )
    production, staging = (each.processes["web"] for each in read_manifest(root).stages)
    assert "LOG_LEVEL" not in production.variables
    assert production.variables["SMOKE_TOKEN"].value is None
    assert staging.variables["LOG_LEVEL"].value == "DEBUG"
    line = path.read_text().splitlines().index(added) + 1
    assert str(staging.variables["LOG_LEVEL"].place) == f"{path.relative_to(root)}:{line}"
    assert staging.variables["SMOKE_TOKEN"].value == "written-out"
    secrets = [each.variables["JWT_SECRET"] for each in (production, staging)]
    assert [each.refers for each in secrets] == [
        "slipway/slipway/JWT_SECRET",
        "slipway-staging/slipway/JWT_SECRET",
    ]
    assert secrets[0].place == secrets[1].place
    assert staging.command == production.command == "python -m service web"


ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web }
spec:
  rules: [{ backendRefs: [{ name: web, port: PORT }] }]
"""


@pytest.mark.parametrize(("number", "wrong"), [("80", 0), ("8080", 1)])
def test_a_route_of_the_gateway_api_is_followed_as_an_ingress_is(
    root: Path, number: str, wrong: int
) -> None:
    path = root / FOLDER / "overlays/production/ingress.yaml"
    path.write_text(ROUTE.replace("PORT", number))
    findings = list(port(read_manifest(root)))
    assert len(findings) == wrong
    assert all(each.place.file.endswith("ingress.yaml") for each in findings)


def test_the_route_in_the_readme_is_one_that_is_read(root: Path) -> None:
    page = (root / FOLDER / "README.md").read_text()
    path = root / FOLDER / "overlays/production/ingress.yaml"
    path.write_text(page.partition("```yaml\n")[2].partition("```")[0])
    shutil.copy(ROOT / "Dockerfile", root)
    table = check(root, "kubernetes", None)
    skipped = {rule: each for rule, each in table.items() if each}
    assert skipped == {"python": "skipped", "schema": "skipped"}


def follow_the_page_of_secrets(root: Path) -> None:
    """Do in `root` what docs/secrets.md says of Vault."""
    page = (ROOT / "docs/secrets.md").read_text()
    policy, patch, literals = re.findall(r"```yaml\n(.+?)```", page, re.DOTALL)
    job = patch.replace("apps/v1", "batch/v1").replace("Deployment", "Job")
    pods = {name: patch.replace("name: web", f"name: {name}") for name in of_kind("Deployment")}
    pods["migrate"] = job.replace("{ name: web", "{ name: migrate-SHA").replace(
        ": web", ": migrate"
    )
    base = root / FOLDER / "base"
    for path in base.iterdir():
        path.write_text(re.sub(r" +env:\n( +- .*secretKeyRef.*\n)+", "", path.read_text()))
    (base / "store.yaml").write_text(policy)
    for name, text in pods.items():
        (base / f"vault-{name}.yaml").write_text(text)
    patches = [{"path": f"vault-{name}.yaml"} for name in pods]
    with changed(base) as found:
        found |= {"resources": [*found["resources"], "store.yaml"], "patches": patches}
    for stage in STAGES:
        with changed(root / FOLDER / "overlays" / stage) as found:
            found["configMapGenerator"][0]["literals"] += yaml.safe_load(literals)["literals"]


@contextmanager
def changed(folder: Path) -> Iterator[Json]:
    path = folder / kustomize.NAME
    yield (found := yaml.safe_load(path.read_text()))
    path.write_text(yaml.safe_dump(found))


def test_pods_can_sign_in_to_vault_as_the_page_of_secrets_has_it(root: Path) -> None:
    follow_the_page_of_secrets(root)
    shutil.copy(ROOT / "Dockerfile", root)
    table = check(root, "kubernetes", None)
    assert {rule for rule, each in table.items() if each} == {"python", "schema"}, table
    built = [each.plain() for each in documents(root)]
    (settings,) = (each["data"] for each in built if each["kind"] == "ConfigMap")
    file = Path(settings["VAULT_SERVICE_ACCOUNT"])
    templates = [
        each["spec"]["template"] for each in built if each["kind"] in ("Deployment", "Job")
    ]
    assert len(templates) == 4
    for spec in (each["spec"] for each in templates):
        (container,) = spec["containers"]
        assert "env" not in container
        (mount,) = (each for each in container["volumeMounts"] if each["name"] == "vault")
        (volume,) = (each for each in spec["volumes"] if each["name"] == "vault")
        (source,) = volume["projected"]["sources"]
        assert Path(mount["mountPath"]) / source["serviceAccountToken"]["path"] == file
    given = settings | {"VAULT_SERVICE_ACCOUNT": os.devnull}  # that of a machine without pods
    assert secretstore._store("vault")(given["SECRETS_FROM"].partition("://")[2], given).where
    (store,) = (each["spec"] for each in built if each["metadata"]["name"] == "store")
    out, agent = store["egress"]
    assert urlsplit(settings["VAULT_ADDR"]).port in [each["port"] for each in out["ports"]]
    assert [each["port"] for each in agent["ports"]] == [80]
    assert "169.254.170.23/32" in [each["ipBlock"]["cidr"] for each in agent["to"]]
    assert store["podSelector"]["matchLabels"].items() <= labels("web").items()


# --- With kubectl ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.fail("kubectl is not installed: https://kubernetes.io/docs/tasks/tools/")
    return found


def rendered(kubectl: str, root: Path, stage: str) -> list[Json]:
    """What kubectl makes of an overlay; without what is left out here: the namespace, the image,
    and the hash behind the name of a ConfigMap."""
    made = subprocess.run(
        [kubectl, "kustomize", str(root / FOLDER / "overlays" / stage)],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    text = re.sub(r"\b(name: settings)-\w{10}$", r"\1", made.stdout, flags=re.M)
    text = re.sub(r"image: \S+/slipway:SHA$", "image: slipway", text, flags=re.M)
    found: list[Json] = list(yaml.safe_load_all(text))
    for each in found:
        assert each["kind"] == "Namespace" or each["metadata"].pop("namespace")
        if each["kind"] == "Namespace":
            each["metadata"]["name"] = "slipway"
    return found


def in_order(documents: list[Json]) -> list[Json]:
    return sorted(documents, key=lambda each: (each["kind"], each["metadata"]["name"]))


def assert_read_as_built(kubectl: str, root: Path, stage: str) -> None:
    read = [each.plain() for each in documents(root, stage)]
    assert in_order(read) == in_order(rendered(kubectl, root, stage))


@pytest.mark.kubectl
@pytest.mark.parametrize("stage", STAGES)
def test_kubectl_builds_what_is_read(kubectl: str, stage: str) -> None:
    assert_read_as_built(kubectl, ROOT, stage)


# Not the one that kustomize refuses, nor those of files that it does not read.
BUILT = [each for each in BROKEN if "/kubernetes/" in each.file and ".yaml" in each.file]
BUILT = [each for each in BUILT if each.instead != "namespace: 7"]
# Nor the names that are left out here, and those of an overlay that is gone.
BUILT = [each for each in BUILT if each.there and "image" not in each.there]
BUILT = [each for each in BUILT if each.rule != "references" or "kustomization" not in each.file]


@pytest.mark.kubectl
@pytest.mark.parametrize("broken", [pytest.param(each, id=f"{n}") for n, each in enumerate(BUILT)])
def test_kubectl_builds_what_is_read_of_broken_ones_too(
    kubectl: str, root: Path, broken: Broken
) -> None:
    break_it(root / broken.file, broken)
    assert_read_as_built(kubectl, root, "staging" if "staging" in broken.file else "production")


@pytest.mark.kubectl
def test_kubectl_builds_what_the_page_of_secrets_says(kubectl: str, root: Path) -> None:
    follow_the_page_of_secrets(root)
    for stage in STAGES:
        assert_read_as_built(kubectl, root, stage)


PATCHES = (
    "replicas: 3",
    "template: { spec: { terminationGracePeriodSeconds: null } }",
    "template: { metadata: { labels: { a: b } } }",
    "template: { spec: { containers: [{ name: worker, command: [a, b], envFrom: [] }] } }",
    "template: { spec: { containers: [{ name: worker, startupProbe: null }] } }",
    "template: { spec: { containers: [{ name: worker, env: [{ name: A, value: b }] }] } }",
    'template: { spec: { containers: [{ name: worker, env: [{ name: REDIS_URL, value: "1",'
    " valueFrom: null }, { name: A, value: b }] }] } }",
    "template: { spec: { volumes: [{ name: more, emptyDir: {} }], containers: [{ name: worker,"
    " volumeMounts: [{ name: more, mountPath: /more }] }] } }",
    "template: { spec: { containers: [{ name: beside, image: slipway }] } }",
)


@pytest.mark.kubectl
@pytest.mark.parametrize("patch", PATCHES)
def test_kubectl_merges_as_it_is_done_here(kubectl: str, root: Path, patch: str) -> None:
    path = root / FOLDER / "overlays/staging/smaller.yaml"
    head = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: worker }\n"
    path.write_text(f"{head}spec: {{ {patch} }}\n")
    before = [each.plain() for each in documents(stage="staging")]
    assert in_order([each.plain() for each in documents(root, "staging")]) != in_order(before)
    assert_read_as_built(kubectl, root, "staging")


@pytest.fixture(params=["Complete", "Failed"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    found = Cluster(job_ends=request.param)
    yield found
    found.close()


def deploy(cluster: Cluster, tmp_path: Path, lines: list[str]) -> int:
    """Type the page's commands, with stand-ins for what builds the image."""
    for name, does in (("git", "echo 1a2b3c4"), ("docker", "exit 0")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    env = dict(os.environ) | {
        "KUBECONFIG": str(cluster.kubeconfig(tmp_path / "config")),
        "KUBECACHEDIR": str(tmp_path / "cache"),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "TMPDIR": str(tmp_path),
    }
    typed = "\n".join(lines).replace("--timeout=10s", "--timeout=1s")
    return subprocess.run(["sh", "-eu"], input=typed, text=True, cwd=ROOT, env=env).returncode


SERVES = {"Deployment", "Service", "Ingress", "HorizontalPodAutoscaler", "PodDisruptionBudget"}


@pytest.mark.kubectl
def test_the_commands_of_the_page_touch_what_serves_after_the_migration_only(
    kubectl: str, cluster: Cluster, tmp_path: Path
) -> None:
    lines = [str(each.value) for each in commands(ROOT, f"{FOLDER}/README.md", "Each deploy")]
    ended = deploy(cluster, tmp_path, lines)
    written = {each.kind for each in cluster.writes}
    early = {each.kind for each in cluster.writes if not each.after_a_job}
    assert early == {"Namespace", "ConfigMap", "NetworkPolicy", "Job"}
    if cluster.job_ends == "Complete":
        assert ended == 0
        assert written == early | SERVES
    else:
        assert ended != 0
        assert written == early


@pytest.mark.kubectl
def test_without_the_waiting_they_would_not(kubectl: str, cluster: Cluster, tmp_path: Path) -> None:
    """The control: what holds the rollout back are those lines, and not this test's cluster."""
    lines = [str(each.value) for each in commands(ROOT, f"{FOLDER}/README.md", "Each deploy")]
    deploy(cluster, tmp_path, [each for each in lines if " wait " not in each])
    assert "Deployment" in {each.kind for each in cluster.writes if not each.after_a_job}
