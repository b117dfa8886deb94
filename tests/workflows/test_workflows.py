"""GitHub's workflows, rehearsed: each step of each of them, in order and with its conditions."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from deploy.pipeline.needs import EVERYWHERE
from deploy.pipeline.plans import PLANS
from service.environment import ROOT
from tests.deploy.answers import VARIABLES, of_stage
from tests.deploy.clouds import OLD, OLDER, Cloud, Row, served
from tests.workflows.expressions import filled
from tests.workflows.github import FOLDER, HERE, ITSELF, STAND_IN, Rehearsal, Repository
from tests.workflows.machine import DIGEST, Machine
from tests.workflows.table import Row as Step

IMAGE = f"ghcr.io/team/slipway@{DIGEST}"
IMAGES = ("cloudrun", "docker", "ecs", "kubernetes")  # that are given one
TAG = r":(\w{40})"
SECRET = "a-planted-secret"


class Place:
    """A repository that has set a target, with a platform for each stage."""

    def __init__(self, target: str, folder: Path, machine: Machine, stack: ExitStack) -> None:
        self.target, self.machine = target, machine
        plan = PLANS[target]
        programs = sorted({*plan.NEEDS.programs, "python"} - {"sed", "ssh"})
        self.clouds: dict[str, Cloud] = {}
        of: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        for stage in ("staging", "production"):
            rows = of_stage(target, stage)
            packs = Row("-m deploy bundle")  # has a test of its own
            cloud = Cloud(folder / stage, tuple(programs), (*rows, *self._built(rows), packs))
            (cloud.bin / "ssh").symlink_to("/bin/true")
            self.clouds[stage] = cloud
            url = stack.enter_context(served(cloud))
            given = plan.NEEDS
            names = {**given.variables, **given.ci_variables}
            variables = {name: VARIABLES.get(name, "set") for name in names} | {"DEPLOY_URL": url}
            secrets = dict.fromkeys({**given.secrets, **given.ci_secrets}, SECRET)
            of[stage] = (variables, secrets)
        self.repository = Repository({"DEPLOY_TARGET": target}, {}, of, self.clouds)

    def _built(self, rows: tuple[Row, ...]) -> Iterator[Row]:
        """The same of an image by its digest, which is that of this run's commit."""
        for row in rows:
            if TAG in row.pattern:
                serves = self.machine.sha if row.serves else ""
                yield row._replace(pattern=row.pattern.replace(TAG, f"@{DIGEST}"), serves=serves)

    def rehearsal(self, event: str, rows: list[Step]) -> Rehearsal:
        return Rehearsal(self.machine, self.repository, event, rows=rows)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.fixture(params=PLANS)
def place(
    request: pytest.FixtureRequest, tmp_path: Path, machine: Machine, stack: ExitStack
) -> Place:
    return Place(request.param, tmp_path, machine, stack)


def steps(rehearsal: Rehearsal, workflow: str) -> list[tuple[str, str]]:
    return [(row.step, row.result) for row in rehearsal.rows if row.workflow == workflow]


def written(workflow: str, *jobs: str) -> list[str]:
    """The steps of a workflow, or of some of its jobs, as rows have them."""
    found = yaml.safe_load((FOLDER / workflow).read_text())["jobs"]
    named = {job: spec.get("steps", ()) for job, spec in found.items() if job in jobs or not jobs}
    return [f"{job}: {step['name']}" for job, steps in named.items() for step in steps]


def complete(rehearsal: Rehearsal, but: str) -> bool:
    """Whether all steps of deploy.yml for this target were rehearsed, but for one."""
    job = but.partition(":")[0]
    seen = {step for step, _ in steps(rehearsal, "deploy.yml")}
    return seen == {*written("deploy.yml", "known", job)} - {but}


def test_a_clone_that_has_set_nothing_checks_and_does_not_deploy(
    machine: Machine, rows: list[Step]
) -> None:
    rehearsal = Rehearsal(machine, Repository(), "push", rows=rows)
    assert rehearsal.workflow("ci.yml", {}).result == "success"
    assert {row.workflow for row in rows} == {"ci.yml"}
    suites = [row.step for row in rows if row.how == ITSELF]
    assert "test: Test, with PostgreSQL and Redis from wheels" in suites
    assert len([each for each in suites if each.startswith("test: ")]) == 4  # each Python
    assert not [row for row in rows if row.step.startswith("deploys: ")]  # weekly


@pytest.mark.parametrize("event", ["pull_request", "schedule", "workflow_dispatch"])
def test_nothing_but_a_push_deploys(
    event: str, tmp_path: Path, machine: Machine, rows: list[Step]
) -> None:
    with ExitStack() as stack:
        place = Place("docker", tmp_path, machine, stack)
        rehearsal = place.rehearsal(event, rows)
        assert rehearsal.workflow("ci.yml", {}).result == "success"
    assert {row.workflow for row in rehearsal.rows} == {"ci.yml"}
    assert all(cloud.calls() == [] for cloud in place.clouds.values())
    weekly = [row for row in rehearsal.rows if row.step.startswith("deploys: ")]
    assert bool(weekly) == (event != "pull_request")
    if event == "schedule":
        assert {row.step for row in rehearsal.rows} == set(written("ci.yml"))


@pytest.mark.parametrize(
    "target",
    [
        "docker",
        "fly",  # target: fly
    ],
)
def test_a_push_goes_to_staging_and_then_to_production(
    target: str, tmp_path: Path, machine: Machine, stack: ExitStack, rows: list[Step]
) -> None:
    place = Place(target, tmp_path, machine, stack)
    rehearsal = place.rehearsal("push", rows)
    assert rehearsal.workflow("ci.yml", {}).result == "success", rehearsal.said
    promoted = [row for row in rows if row.step == f"{target}: Promote"]
    assert [row.result for row in promoted] == ["ok", "ok"]
    released = [row.step for row in rows if row.workflow == "release.yml"]
    assert bool(released) == (target in IMAGES)
    stages = re.findall(rf"\| promote \| {target} \| (\w+) \|", rehearsal.summary)
    assert stages == ["staging", "production"]
    for cloud in place.clouds.values():
        assert cloud.serves == machine.sha
    if target in IMAGES:
        assert set(released) == set(written("release.yml"))
        called = (machine.folder / "called").read_text()
        assert f"cosign sign --yes {IMAGE}\n" in called
        assert "a-planted-github-token" not in called
        assert "a-planted-github-token" in (machine.folder / "given").read_text()
        assert f"release {IMAGE}" in "\n".join(place.clouds["production"].calls())


def test_a_smoke_test_that_fails_in_staging_leaves_production_alone(
    tmp_path: Path, machine: Machine, stack: ExitStack
) -> None:
    place = Place("docker", tmp_path, machine, stack)
    place.clouds["staging"].bad = {machine.sha}
    rehearsal = place.rehearsal("push", [])
    assert rehearsal.workflow("ci.yml", {}).result == "failure"
    assert place.clouds["staging"].serves == OLD
    assert place.clouds["production"].calls() == []


def test_a_version_that_fails_in_production_is_rolled_back_and_the_run_fails(
    place: Place, rows: list[Step]
) -> None:
    cloud = place.clouds["production"]
    cloud.bad = {place.machine.sha}
    rehearsal = place.rehearsal("push", rows)
    given = {"target": place.target, "stage": "production", "image": _image(place)}
    assert rehearsal.workflow("deploy.yml", given).result == "failure"
    assert steps(rehearsal, "deploy.yml")[-2:] == [
        (f"{place.target}: Promote", "failed with 1"),
        (f"{place.target}: Summary", "ok"),
    ]
    assert cloud.serves == OLD, rehearsal.said
    assert "fails its smoke test" in rehearsal.said
    assert "Gone back to " in rehearsal.said
    assert "knows no answer" not in rehearsal.said
    table = rehearsal.summary.splitlines()
    assert [row.split(" | ")[1] for row in table[2:]] == ["promote", "rollback"]
    assert place.clouds["staging"].calls() == []
    assert complete(rehearsal, f"{place.target}: Roll back")
    for text in (rehearsal.said, rehearsal.summary, "\n".join(cloud.calls())):
        assert SECRET not in text
    # The one that is asked for in no argument.
    assert (SECRET in cloud.given()) == (place.target == "digitalocean")


def test_by_hand_the_version_before_comes_back(place: Place, rows: list[Step]) -> None:
    rehearsal = place.rehearsal("workflow_dispatch", rows)
    assert rehearsal.workflow("rollback.yml", {"stage": "production"}).result == "success", (
        rehearsal.said
    )
    assert [row.step for row in rows][-2:] == [
        f"{place.target}: Roll back",
        f"{place.target}: Summary",
    ]
    assert f"| rollback | {place.target} | production |" in rehearsal.summary
    assert complete(rehearsal, f"{place.target}: Promote")
    # On hosts of one's own the version before is theirs to remember.
    own = place.target in ("docker", "vps")
    assert place.clouds["production"].serves == (OLD if own else OLDER)


def test_what_is_not_set_is_named_before_anything_is_touched(place: Place) -> None:
    place.repository.of["production"] = ({}, {})
    rehearsal = place.rehearsal("push", [])
    given = {"target": place.target, "stage": "production"}
    with place.machine.not_set_up():
        assert rehearsal.workflow("deploy.yml", given).result == "failure"
    ours = [row for row in rehearsal.rows if row.step.startswith(f"{place.target}: ")]
    bad = [row.step for row in ours if row.result != "ok"]
    assert bad == [f"{place.target}: Is all set?"]
    assert [row.how for row in ours] == [STAND_IN, HERE, HERE]  # the summary, of nothing
    (line,) = [line for line in rehearsal.said.splitlines() if line.startswith("failed: ")]
    needs = PLANS[place.target].NEEDS
    for name in (*EVERYWHERE, *needs.variables, *needs.secrets, *needs.ci_secrets):
        assert name in line
    assert place.clouds["production"].calls() == []


@pytest.mark.parametrize(("event", "own"), [("push", True), ("pull_request", False)])
def test_a_push_to_main_waits_for_no_other_that_waits_for_approval(event: str, own: bool) -> None:
    lock = yaml.safe_load((FOLDER / "ci.yml").read_text())["concurrency"]
    runs = [{"event_name": event, "ref": "refs/heads/main", "run_id": each} for each in "12"]
    groups = {filled(lock["group"], {"github": each}, {}) for each in runs}
    assert len(groups) == (2 if own else 1)
    assert filled(lock["cancel-in-progress"], {"github": runs[0]}, {}) is not own


def test_a_target_that_is_misspelt_is_no_success(machine: Machine) -> None:
    rehearsal = Rehearsal(machine, Repository({"DEPLOY_TARGET": "fly.io"}), "push")
    assert rehearsal.workflow("ci.yml", {}).result == "failure"
    assert "failed: 'fly.io' is no target: it is one of " in rehearsal.said


def test_what_ci_runs_by_itself_is_what_it_runs_here() -> None:
    makefile = (ROOT / "Makefile").read_text()
    run = (ROOT / ".ci" / "run").read_text()
    text = "".join(path.read_text() for path in FOLDER.iterdir())
    named = set(re.findall(r"run: make ([a-z-]+)$", text, re.M))
    assert {"check", "test", "test-chaos", "test-deploy", "test-image"} <= named
    # The last is of a quarter of an hour, and of nothing that a team changes: the table says so.
    for target in named - {"setup", "test-image", "remove-sample", "test-starter"}:
        assert re.search(rf"^{target}:", makefile, re.M), target
        assert re.search(rf"\bmake {target}$", run, re.M), target
    # A part of test-deploy.
    assert re.search(r"^test-image:.*\n.*tests/deploy/docker/test_image.py", makefile, re.M)
    assert "tests/deploy/docker " in makefile


def test_what_test_deploy_needs_is_there_by_itself_and_here() -> None:
    run = (ROOT / ".ci" / "run").read_text()
    steps = yaml.safe_load((FOLDER / "ci.yml").read_text())["jobs"]["deploys"]["steps"]
    said = "\n".join(step.get("run", "") for step in steps)
    for needed in (" openssh-server", "sysctl -qw fs.inotify.max_user_instances=512"):
        assert needed in run and needed in said, needed


def test_each_target_has_a_job_that_can_be_taken_out_by_its_lines() -> None:
    text = (FOLDER / "deploy.yml").read_text()
    for target in PLANS:
        (block,) = re.findall(
            rf"^  # target: {target}\n(.*?)^  # end of target: {target}$", text, re.M | re.S
        )
        (job,) = yaml.safe_load(block).values()
        assert job["if"] == f"${{{{ inputs.target == '{target}' }}}}"
        names = {*job["env"]}
        needs = PLANS[target].NEEDS
        wanted = {*needs.variables, *needs.secrets, *needs.ci_secrets, *needs.ci_variables}
        assert wanted | {*EVERYWHERE, "SMOKE_TOKEN", "STAGE"} == names - {"IMAGE"}


def _image(place: Place) -> str:
    return IMAGE if place.target in IMAGES else ""
