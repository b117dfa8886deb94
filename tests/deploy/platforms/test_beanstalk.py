"""Elastic Beanstalk, played by its engine on servers of its kind: the story of all platforms."""

from pathlib import Path

from tests.deploy.platforms.beanstalk import HEALTHY, STAGE, Environment
from tests.deploy.platforms.behaviours import BEHAVIOURS
from tests.deploy.platforms.builds import bundles
from tests.deploy.platforms.lab import Lab
from tests.deploy.platforms.story import tell

NOT_CONFIRMED = (
    "the 90 s to stop, and that the engine waits so long; PATH and shell of its units;"
    " how soon the balancer stops sending"
)


def test_releases_and_the_way_back(lab: Lab, row: list[object], tmp_path: Path) -> None:
    builds = bundles(tmp_path, STAGE)
    with Environment(lab, len(BEHAVIOURS)) as platform:
        told = tell(platform, lab, builds)
        assert told.lost == []
        # v1 on two instances at once, and v2 on three after each other.
        assert platform.said.count("schema migrated") == 2

        # Of a batch that is not the first, the hook fails where an old version runs.
        instance = platform.running[0]
        before = instance.processes()
        assert "division by zero" in (platform.renew(instance, *builds["v3"]) or "")
        assert instance.processes() == before
        assert instance.is_healthy(builds["v1"].version)
        row += [
            "elasticbeanstalk",
            f"{max(platform.healthy_after):.1f} s of {HEALTHY}",
            told.requests,
            len(told.lost),
            f"{told.slowest:.1f} s of {platform.manifest.platform.grace:.0f}",
            f"{told.done} of {told.done}",
            NOT_CONFIRMED,
        ]
