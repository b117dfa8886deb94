"""Promote and roll back on each target, with stand-ins of its CLI and a service that is asked.

What is gone back from, and a rollback by hand, on each: tests/workflows, through the command.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.pipeline.audit import Log
from deploy.pipeline.plan import Release
from deploy.pipeline.plans import PLANS
from deploy.pipeline.promote import Session
from deploy.shell import Failed
from service.settings import ROOT, environment
from tests.deploy.answers import TABLES, VARIABLES
from tests.deploy.clouds import IMAGE, NEW, OLD, Cloud, served

FIRST = {  # the first call that would change something
    "cloudrun": "jobs replace",  # target: cloudrun
    "digitalocean": "create-deployment",  # target: digitalocean
    "docker": "docker release",  # target: docker
    "ecs": "register-task",  # target: ecs
    "elasticbeanstalk": "eb init",  # target: elasticbeanstalk
    "fly": "build-arg",  # target: fly
    "heroku": " push ",  # target: heroku
    "kubernetes": "kustomize",  # target: kubernetes
    "railway": "service=s1",  # target: railway
    "render": "srv-web --commit",  # target: render
    "vps": "vps release",  # target: vps
}


@dataclass
class Place:
    """A target, and what has been done to it."""

    target: str
    cloud: Cloud
    root: Path
    url: str

    def session(self) -> Session:
        plan = PLANS[self.target]
        image = f"{IMAGE}:{NEW}" if plan.NEEDS.image == "must" else None
        environ = environment() | VARIABLES
        environ["PATH"] = f"{self.cloud.bin}:{environ['PATH']}"
        known = {name: environ[name] for name in plan.NEEDS.variables}
        known["FOLDER"] = str(self.cloud.folder / "deploy-x")
        Path(known["FOLDER"]).mkdir(exist_ok=True)
        log = Log(self.cloud.folder / "log.jsonl", "alice", self.target, "production")
        release = Release("production", NEW, image)
        return Session(plan, release, self.root, environ, log, self.url, 0.2, known)

    def log(self) -> list[tuple[str, str, str]]:
        lines = map(json.loads, (self.cloud.folder / "log.jsonl").read_text().splitlines())
        found = [(each["verb"], each["version"], each["result"]) for each in lines]
        return [each for each in found if each[2] != "begun"]


@pytest.fixture(params=PLANS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield from of_target(request.param, tmp_path)


def of_target(target: str, folder: Path) -> Iterator[Place]:
    """The repository's files are its own, but Python: what it is asked is written down."""
    programs = {*PLANS[target].NEEDS.programs} - {"sed"}
    cloud = Cloud(folder / "cloud", (*sorted(programs), "python"), TABLES[target])
    if target == "elasticbeanstalk":  # the bundle has a test of its own
        packs = (*TABLES[target], ("-m deploy bundle --stage production$", "", ""))
        (cloud.folder / "rows").write_text(json.dumps(packs))
    root = folder / "root"
    (root / ".venv").mkdir(parents=True)
    (root / ".venv" / "bin").symlink_to(cloud.bin)
    (root / "deploy").symlink_to(ROOT / "deploy")
    with served(cloud) as url:
        yield Place(target, cloud, root, url)


def test_what_is_promoted_serves(place: Place) -> None:
    place.session().promote(first=False)
    assert place.cloud.serves == NEW
    version = f"{IMAGE}:{NEW}" if place.target == "docker" else NEW
    assert place.log() == [("promote", version, "ok")]


def test_what_has_not_begun_is_not_gone_back_from(place: Place) -> None:
    """The first command that changes something fails: with the version that served before."""
    place.cloud.fail(FIRST[place.target])
    with pytest.raises(Failed):
        place.session().promote(first=False)
    assert place.cloud.serves == OLD
    verbs = [verb for verb, _, _ in place.log()]
    # release.sh does not say how far it came: the former image is released again, to be sure.
    assert verbs == (["promote", "rollback"] if place.target == "ecs" else ["promote"])


@pytest.mark.parametrize(
    ("target", "fails"),
    [
        ("cloudrun", "worker-pools replace \\S+scheduler"),  # target: cloudrun
        ("elasticbeanstalk", "--archive"),  # target: elasticbeanstalk
        ("ecs", "update-service --service scheduler"),  # target: ecs
        ("kubernetes", "rollout status deployment/worker.*15m$"),  # target: kubernetes
        ("railway", f"commit={NEW} --raw-var service=s2"),  # target: railway
        ("render", f"srv-worker --commit {NEW}"),  # target: render
    ],
)
def test_what_is_half_done_is_gone_back_from(target: str, fails: str, tmp_path: Path) -> None:
    for place in of_target(target, tmp_path):
        place.cloud.fail(fails)
        with pytest.raises(Failed, match=r"It was not gone back from|Gone back to"):
            place.session().promote(first=False)
        assert [verb for verb, _, _ in place.log()] == ["promote", "rollback"]
        assert place.cloud.serves == OLD


# target: cloudrun
def test_a_stage_without_a_version_has_nothing_to_go_back_to(tmp_path: Path) -> None:
    for place in of_target("cloudrun", tmp_path):
        place.cloud.bad = {NEW}
        place.cloud.fail("describe")
        with pytest.raises(Failed, match="If nothing serves there yet: --first"):
            place.session().promote(first=False)
        assert not [each for each in place.cloud.calls() if "replace" in each]
        with pytest.raises(Failed, match="not gone back from: there is no version before this one"):
            place.session().promote(first=True)
        assert place.cloud.serves == NEW


# end of target: cloudrun


# target: fly
def test_an_answer_of_another_form_is_one_line_and_changes_nothing(tmp_path: Path) -> None:
    for place in of_target("fly", tmp_path):
        (place.cloud.folder / "rows").write_text(json.dumps([["releases", '{"a": 1}', ""]]))
        with pytest.raises(Failed, match=r"(?s)is not in what `fly releases .*nothing has changed"):
            place.session().promote(first=False)
        (place.cloud.folder / "rows").write_text(json.dumps([["releases", "<html>", ""]]))
        with pytest.raises(Failed, match="is not in what `fly releases"):
            place.session().promote(first=False)
        assert place.cloud.serves == OLD


# end of target: fly


# target: heroku
def test_a_version_that_is_named_is_gone_back_to(tmp_path: Path) -> None:
    for place in of_target("heroku", tmp_path):
        place.session().rollback("v12")
        assert place.cloud.calls() == ["heroku rollback v12 --app slipway"]


# end of target: heroku


# target: heroku
def test_a_way_back_that_fails_is_said(tmp_path: Path) -> None:
    for place in of_target("heroku", tmp_path):
        place.cloud.bad = {NEW, OLD}
        with pytest.raises(Failed, match=r"It was not gone back from: .*smoke test"):
            place.session().promote(first=False)
        assert [result[:6] for _, _, result in place.log()] == ["failed", "failed"]


# end of target: heroku
