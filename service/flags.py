"""Feature flags: what is risky is on for nobody, for a share of the users, or for all.

Add a flag: a line `NEW_EXPORT = Flag("new_export", "exports are streamed")`, and its name in FLAGS.
`FLAG_NEW_EXPORT=off|on|25%` sets it; unset it is off. docs/flags.md has an example.
"""

import hashlib
from typing import NamedTuple
from uuid import UUID

from flask import Flask, current_app

from service.settings import Settings


class Flag(NamedTuple):
    """A change that some users have already."""

    name: str
    about: str

    def is_on(self, user: UUID | str | None = None) -> bool:
        """Whether it is on for a user: for the same ones each time, and for more as it grows.

        Without one only a flag that is on for all is on: who is not signed in has nothing by which
        to be known the next time. (If yours have, such as a cookie, give that.)
        """
        share: float = current_app.extensions["flags"].get(self.name, 0.0)
        if user is None or share in (0.0, 1.0):
            return share == 1.0
        # With the name, or the same users would have every risk first.
        digest = hashlib.sha256(f"{self.name}:{user}".encode()).digest()
        return int.from_bytes(digest[:8]) < share * 2**64


FLAGS: tuple[Flag, ...] = ()


def init_app(app: Flask, settings: Settings) -> None:
    app.extensions["flags"] = dict(settings.flags)


def unknown(settings: Settings) -> list[str]:
    """What is set and declared nowhere: it changes nothing."""
    known = {flag.name for flag in FLAGS}
    return [name for name in settings.flags if name not in known]
