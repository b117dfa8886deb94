"""Promote and roll back on each target, with stand-ins of its CLI and a service that is asked.

What is gone back from, and a rollback by hand, on each: tests/workflows, through the command.
"""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from deploy.pipeline.audit import Log
from deploy.pipeline.plan import Command, Plan, Release
from deploy.pipeline.plans import PLANS
from deploy.pipeline.promote import FORMER, Session, _wants
from deploy.shell import Failed
from service.environment import ROOT, environment
from tests.deploy.answers import TABLES, VARIABLES
from tests.deploy.clouds import IMAGE, NEW, OLD, OLDER, Cloud, Row, served

A_RELEASE = Release("production", NEW)
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
        cloud.answer(Row("-m deploy bundle --stage production$"))
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
        place.cloud.answer(Row("releases", '{"a": 1}'))
        with pytest.raises(Failed, match=r"(?s)is not in what `fly releases .*nothing has changed"):
            place.session().promote(first=False)
        place.cloud.answer(Row("releases", "<html>"))
        with pytest.raises(Failed, match="is not in what `fly releases"):
            place.session().promote(first=False)
        assert place.cloud.serves == OLD


# end of target: fly


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("cloudrun", "slipway-00003"),  # target: cloudrun
        ("digitalocean", "d-old"),  # target: digitalocean
        ("ecs", f"{IMAGE}:{OLD}"),  # target: ecs
        ("elasticbeanstalk", f"production-{OLD}"),  # target: elasticbeanstalk
        ("fly", "registry.fly.io/slipway:old"),  # target: fly
        ("heroku", "v12"),  # target: heroku
        ("render", OLD),  # target: render
    ],
)
def test_a_version_that_is_named_is_gone_back_to(target: str, name: str, tmp_path: Path) -> None:
    for place in of_target(target, tmp_path):
        (place.cloud.folder / "serves").write_text(NEW)
        place.session().rollback(name)
        assert place.cloud.serves == OLD
        assert place.log() == [("rollback", name, "ok")]


def test_each_target_that_knows_versions_by_a_name_is_tried_above() -> None:
    (tried,) = test_a_version_that_is_named_is_gone_back_to.pytestmark
    named = {target for target, plan in PLANS.items() if FORMER in _wants(plan.back(A_RELEASE))}
    assert {target for target, _ in tried.args[1]} == named


def gone_back_from(place: Place, **names: str) -> None:
    """A line of the log: what an earlier promotion went back from."""
    place.session().log.begin("rollback", "the version before", names).end("ok")


@pytest.mark.parametrize(
    ("target", "gone"),
    [
        ("digitalocean", {"FORMER": "d-older"}),  # target: digitalocean
        ("ecs", {"FORMER": f"{IMAGE}:{OLDER}"}),  # target: ecs
        ("fly", {"FORMER": "registry.fly.io/slipway:older"}),  # target: fly
        ("heroku", {"FORMER": "v11"}),  # target: heroku
        ("kubernetes", {"WEB": "2"}),  # target: kubernetes
        ("railway", {"FORMER_WEB": "web-older"}),  # target: railway
        ("render", {"FORMER": OLDER}),  # target: render
    ],
)
def test_by_hand_no_version_comes_back_that_was_gone_back_from(
    target: str, gone: dict[str, str], tmp_path: Path
) -> None:
    for place in of_target(target, tmp_path):
        gone_back_from(place, **gone)
        (version,) = gone.values()
        other = "name another one: --to" if "FORMER" in gone else "promote another one"
        with pytest.raises(Failed, match=f"{version}, was itself gone back from; {other}"):
            place.session().rollback(None)
        assert place.cloud.serves == OLD


# target: cloudrun
def test_cloud_run_goes_past_revisions_that_were_gone_back_from(tmp_path: Path) -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    names = [
        {"name": f"slipway-0000{day}", "creationTimestamp": f"2026-11-0{day}"} for day in (3, 2, 1)
    ]
    for place in of_target("cloudrun", tmp_path):
        listed = [{"metadata": name, "status": ready} for name in names]
        place.cloud.answer(Row("revisions list", listed))
        gone_back_from(place, FORMER="slipway-00002")
        place.session().rollback(None)
        assert place.cloud.serves == OLDER


# end of target: cloudrun


# target: elasticbeanstalk
def test_beanstalk_goes_past_versions_that_were_gone_back_from(tmp_path: Path) -> None:
    for place in of_target("elasticbeanstalk", tmp_path):
        gone_back_from(place, FORMER=f"production-{OLDER}")
        place.session().rollback(None)
        assert place.cloud.serves == "1"


# end of target: elasticbeanstalk


def test_what_was_gone_back_from_is_good_again_once_it_was_promoted(tmp_path: Path) -> None:
    def logged(stage: str = "staging") -> Log:
        return Log(tmp_path / "log", "alice", "docker", stage)

    logged().begin("rollback", f"{IMAGE}:{OLDER}", {"FORMER": f"{IMAGE}:{NEW}"}).end("failed: x")
    assert logged().gone_back_from() == {("FORMER", f"{IMAGE}:{NEW}")}
    assert logged("production").gone_back_from() == set()
    logged().begin("promote", NEW).end("failed: x")
    assert logged().gone_back_from() != set()
    logged().begin("promote", NEW).end("ok")
    assert logged().gone_back_from() == set()


# target: fly
def test_the_log_says_from_what_was_gone_back(tmp_path: Path) -> None:
    for place in of_target("fly", tmp_path):
        place.session().rollback(None)
        assert place.session().log.gone_back_from() == {("FORMER", "registry.fly.io/slipway:old")}


# end of target: fly


def filling(plan: Plan, log: Path) -> Plan:
    """The same, but the disk is full once it is carried out."""

    def promote(release: Release) -> list[Command]:
        log.unlink()
        log.mkdir()
        return plan.promote(release)

    rest = {name: getattr(plan, name) for name in ("NEEDS", "look", "before", "back")}
    return cast("Plan", SimpleNamespace(promote=promote, **rest))


@pytest.mark.parametrize("bad", [True, False])
def test_a_log_that_cannot_be_written_any_more_changes_nothing_else(
    bad: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in of_target("docker", tmp_path):
        place.cloud.bad = {NEW} if bad else set()
        session = place.session()
        session.plan = filling(session.plan, place.cloud.folder / "log.jsonl")
        with pytest.raises(Failed, match="Gone back to ") if bad else nullcontext():
            session.promote(first=False)
        assert place.cloud.serves == (OLD if bad else NEW)
        assert "warning: the log " in capsys.readouterr().err


# target: digitalocean
def test_a_way_back_that_digitalocean_does_not_finish_is_no_success(tmp_path: Path) -> None:
    for place in of_target("digitalocean", tmp_path):
        place.cloud.answer(Row("get-deployment app-1 back-older", "DEPLOYING", then="ERROR"))
        with pytest.raises(Failed, match="DigitalOcean ended the deployment back-older with ERROR"):
            place.session().rollback(None)
        place.cloud.answer(Row("get-deployment app-1 back-older", "DEPLOYING"))
        with pytest.raises(Failed, match=r"not within 0\.2 s: it is ACTIVE"):
            place.session().rollback(None)
        place.cloud.answer(Row("get-deployment app-1 back-older", "<html>"), Row("rollback$", "{}"))
        with pytest.raises(Failed, match="the deployment that it begins is not in what"):
            place.session().rollback(None)


# end of target: digitalocean


# target: railway
def test_a_way_back_that_railway_does_not_finish_is_no_success(tmp_path: Path) -> None:
    for place in of_target("railway", tmp_path):
        then = [{"id": "back", "status": "CRASHED", "createdAt": "2026-11-09"}]
        began = "deploymentRollback.* id=worker-older$"
        place.cloud.answer(Row("deployment list --service worker", then, after=began))
        with pytest.raises(Failed, match="Railway ended the rollback of worker with CRASHED"):
            place.session().rollback(None)


# end of target: railway


# target: heroku
def test_what_heroku_went_back_from_is_not_pushed_in_vain(tmp_path: Path) -> None:
    for place in of_target("heroku", tmp_path):
        back, later = (
            {
                "version": version,
                "status": "succeeded",
                "current": version == 15,
                "description": said,
            }
            for version, said in ((14, "Rollback to v12"), (15, "Set A config vars"))
        )
        place.cloud.answer(
            Row("ls-remote", f"{NEW}\trefs/heads/main"), Row("releases", [back, later])
        )
        with pytest.raises(
            Failed, match=r"went back from it \(Rollback to v12\): push a new commit"
        ):
            place.session().promote(first=False)
        assert not [each for each in place.cloud.calls() if " push " in each]
        assert [verb for verb, _, _ in place.log()] == ["promote"]  # nothing to go back from
        place.cloud.answer(Row("ls-remote", f"{OLD}\trefs/heads/main"))
        place.session().promote(first=False)
        assert place.cloud.serves == NEW


# end of target: heroku


# target: heroku
def test_a_way_back_that_fails_is_said(tmp_path: Path) -> None:
    for place in of_target("heroku", tmp_path):
        place.cloud.bad = {NEW, OLD}
        with pytest.raises(Failed, match=r"It was not gone back from: .*smoke test"):
            place.session().promote(first=False)
        assert [result[:6] for _, _, result in place.log()] == ["failed", "failed"]


# end of target: heroku
