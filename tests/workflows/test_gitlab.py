"""GitLab's jobs, rehearsed as GitHub's are; which of them run is read, not tried."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from service.environment import ROOT
from tests.workflows.github import HERE, ITSELF
from tests.workflows.gitlab import Job, jobs
from tests.workflows.machine import Machine
from tests.workflows.table import Row
from tests.workflows.test_workflows import IMAGE, Place


def test_the_suites_are_those_that_ci_runs_by_itself(machine: Machine, rows: list[Row]) -> None:
    run = (ROOT / ".ci" / "run").read_text()
    names = [
        *("check", "test", "previous", "processes", "chaos"),
        "sample",  # sample
    ]
    for name in names:
        assert Job(machine, name, {}, rows=rows).run() == "success"
    named = {row.step.partition(": ")[2] for row in rows if row.how == ITSELF}
    assert {"make check", "make test", "make test-previous"} < named
    assert all(each in run for each in named)
    assert ("sample: make remove-sample", HERE) in [(row.step, row.how) for row in rows]  # sample


def test_the_image_is_built_signed_and_handed_on(machine: Machine, rows: list[Row]) -> None:
    variables = {
        "CI_REGISTRY": "registry.gitlab.example",
        "CI_REGISTRY_USER": "ci",
        "CI_REGISTRY_PASSWORD": "a-planted-password",
        "CI_REGISTRY_IMAGE": "registry.gitlab.example/team/slipway",
        "DOCKER_CERT_PATH": "/certs/client",  # of docker:dind
        "DOCKER_TLS_VERIFY": "1",
    }
    job = Job(machine, "build", variables, rows=rows)
    assert job.run() == "success", job.said
    handed = (machine.clone / "image.env").read_text().splitlines()
    image = IMAGE.replace("ghcr.io", "registry.gitlab.example")
    assert f"image={image}" in handed
    called = (machine.folder / "called").read_text()
    assert f"cosign sign --yes {image}\n" in called and "a-planted-password" not in called
    # What docker refuses otherwise: https://github.com/docker/buildx/issues/413
    assert "docker context create ci\ndocker buildx create --use ci\n" in called


@pytest.mark.parametrize(
    ("target", "image"),
    [
        ("cloudrun", IMAGE),  # target: cloudrun
        ("docker", IMAGE),
        ("elasticbeanstalk", ""),  # target: elasticbeanstalk
    ],
)
def test_a_stage_is_promoted_and_goes_back(
    target: str, image: str, tmp_path: Path, machine: Machine, rows: list[Row]
) -> None:
    with ExitStack() as stack:
        place = Place(target, tmp_path, machine, stack)
        for stage, bad in (("staging", ""), ("production", machine.sha)):
            cloud = place.clouds[stage]
            cloud.bad = {bad}
            variables, secrets = place.repository.of[stage]
            given = {"DEPLOY_TARGET": target, "image": image, "GITLAB_USER_LOGIN": "alice"}
            files = {
                "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "aws"),
                "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": str(tmp_path / "google"),
            }
            job = Job(machine, stage, {**variables, **secrets, **given, **files}, cloud, rows)
            assert job.run() == ("failure" if bad else "success"), job.said
            assert f"promote  {target}  {stage}" in job.said
            assert "alice (GitLab CI)" in job.said
        assert "Gone back to " in job.said


def test_by_hand_the_version_before_comes_back(
    tmp_path: Path, machine: Machine, rows: list[Row]
) -> None:
    with ExitStack() as stack:
        place = Place("docker", tmp_path, machine, stack)
        variables, secrets = place.repository.of["production"]
        given = {"DEPLOY_TARGET": "docker", "STAGE": "production"}
        cloud = place.clouds["production"]
        job = Job(machine, "rollback", {**variables, **secrets, **given}, cloud, rows)
        assert job.run() == "success", job.said
        assert "rollback  docker  production" in job.said
        assert not [each for each in cloud.calls() if "docker release" in each]


def test_what_is_missing_is_named_first(machine: Machine) -> None:
    job = Job(machine, "staging", {"DEPLOY_TARGET": "docker"})
    assert job.run() == "failure"
    assert "failed: docker needs DEPLOY_URL, DOCKER_HOST, KNOWN_HOSTS, SSH_KEY: set in" in job.said
    assert len(job.rows) == 2  # and after_script


def test_production_waits_for_somebody_and_a_fresh_clone_deploys_nothing() -> None:
    for name, spec in jobs().items():
        deploys = "environment" in spec or name == "build"
        assert deploys == any("$DEPLOY_TARGET" in str(rule) for rule in spec.get("rules", ()))
        assert ("resource_group" in spec) == ("environment" in spec)
    (rule,) = jobs()["production"]["rules"]
    assert (rule["when"], rule["allow_failure"]) == ("manual", False)


def test_a_rollback_can_be_started_at_once_and_production_cannot() -> None:
    """Without `needs` a job waits for all stages before its own, and is left out if one failed."""
    found = jobs()
    assert found["rollback"]["needs"] == []
    assert {rule["when"] for rule in found["rollback"]["rules"]} == {"manual"}
    assert "needs" not in found["production"]
