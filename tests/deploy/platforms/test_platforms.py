"""Each platform's manifest, played as its platform plays it: releases, a failed one, a way back."""

from dataclasses import replace

import pytest

from deploy.targets import TARGETS
from service.environment import ROOT
from tests.deploy.platforms.behaviours import BEHAVIOURS
from tests.deploy.platforms.builds import VERSIONS, Build, build
from tests.deploy.platforms.lab import Lab
from tests.deploy.platforms.rehearsal import Rehearsal
from tests.deploy.platforms.story import passes_the_smoke_test, tell


@pytest.mark.parametrize("target", BEHAVIOURS)
def test_releases_and_the_way_back(target: str, lab: Lab, row: list[object]) -> None:
    behaviour, manifest = BEHAVIOURS[target], TARGETS[target](ROOT)
    images = {version: Build(build(behaviour.builds, version), version) for version in VERSIONS}
    number = list(BEHAVIOURS).index(target)
    with Rehearsal(behaviour, manifest, manifest.stages[0], lab, number) as platform:
        told = tell(platform, lab, images)
        if behaviour.strategy != "gap":
            assert told.lost == []
        assert platform.in_flight
        assert all(platform.in_flight), "a request in flight was lost"
        assert platform.jobs_in_hand == 2
        grace = platform.stage.processes["web"].grace
        row += [
            target,
            f"{max(platform.healthy_after):.1f} s of {behaviour.healthy_within:.0f}",
            told.requests,
            len(told.lost),
            f"{told.slowest:.1f} s of {grace.value if grace else manifest.platform.grace:.0f}",
            f"{told.done} of {told.done}",
            behaviour.not_confirmed or "-",
        ]


@pytest.mark.variant
@pytest.mark.parametrize("target", BEHAVIOURS)
def test_staging_is_deployed_too(target: str, lab: Lab) -> None:
    behaviour, manifest = BEHAVIOURS[target], TARGETS[target](ROOT)
    (stage,) = (each for each in manifest.stages if each.name == "staging")
    image = Build(build(behaviour.builds, "v1"), "v1")
    number = list(BEHAVIOURS).index(target)
    with Rehearsal(behaviour, manifest, stage, lab, number) as platform:
        assert platform.deploy(*image) is None
        passes_the_smoke_test(platform, lab, "v1")


def test_the_control_loses_what_is_in_flight(lab: Lab) -> None:
    """A platform that kills at once, as Railway does unless it is told otherwise."""
    swapped = next(each for each in BEHAVIOURS.values() if each.strategy == "swap")
    behaviour, manifest = replace(swapped, signal="SIGKILL"), TARGETS[swapped.target](ROOT)
    image = Build(build(behaviour.builds, "v1"), "v1")
    with Rehearsal(behaviour, manifest, manifest.stages[0], lab, 14) as platform:
        assert platform.deploy(*image) is None
        platform.stop()
        assert platform.in_flight == [False, False]


def test_every_target_is_rehearsed() -> None:
    elsewhere = {
        "elasticbeanstalk",  # target: elasticbeanstalk
    }
    assert BEHAVIOURS.keys() | elsewhere == TARGETS.keys()
