"""Manifests that are wrong: a file for each target.

BROKEN: for each rule, a way to break it; SILENT: rules that cannot find anything there, and why.
"""

from typing import NamedTuple


class Broken(NamedTuple):
    """A text of a file that is replaced by another, once; without a text, the file is made; with
    neither, it is removed."""

    rule: str
    file: str
    there: str
    instead: str
