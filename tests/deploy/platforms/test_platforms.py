"""Each platform's manifest, played as its platform plays it: releases, a failed one, a way back."""

import pytest

from deploy.targets import TARGETS
from service.settings import ROOT
from tests.deploy.platforms.behaviours import BEHAVIOURS
from tests.deploy.platforms.builds import VERSIONS, Build, build
from tests.deploy.platforms.lab import Lab
from tests.deploy.platforms.rehearsal import Rehearsal
from tests.deploy.platforms.story import tell


@pytest.mark.parametrize("target", BEHAVIOURS)
def test_releases_and_the_way_back(target: str, lab: Lab, row: list[object]) -> None:
    behaviour, manifest = BEHAVIOURS[target], TARGETS[target](ROOT)
    images = {version: Build(build(behaviour.builds, version), version) for version in VERSIONS}
    number = list(BEHAVIOURS).index(target)
    with Rehearsal(behaviour, manifest, manifest.stages[0], lab, number) as platform:
        told = tell(platform, lab, images)
        if behaviour.strategy != "gap":
            assert told.lost == []
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
