"""Manifests that are wrong: a file for each target.

BROKEN: for each rule, ways to break it; a rule that cannot be broken there is the platform's
`silent`.
"""

from typing import NamedTuple


class Broken(NamedTuple):
    """A text of a file that is replaced by another, once; without a text, the file is made; with
    neither, it is removed."""

    rule: str
    file: str
    there: str
    instead: str
    warns: bool = False  # it is only a warning
