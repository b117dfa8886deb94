"""The product's name: how it is spelt, and where.

With hyphens in DNS, images and platforms; with underscores on servers of one's own, whose database
takes no hyphens in its names, and in variables. Add a place of the second kind: a pattern in
SERVERS or ON_SERVERS.
"""

import re
from fnmatch import fnmatch
from typing import NamedTuple

SERVERS = (
    "deploy/nginx/*",
    "deploy/vps/*",
    "tests/nginx.py",
    "tests/deploy/servers/*",
    "tests/deploy/standin.py",
    "tests/deploy/test_vps_*",
    "tests/deploy/vps_host.py",
)
# What names a thing of servers in any other file; the name is {}.
ON_SERVERS = (
    r"/(?:srv|usr/local/s?bin|var/backups|run)/{}",
    r"{}-(?:web|migrate)@",
    r"{}-[a-z]+\.(?:service|socket|timer)",
    r"{}-root\b",
    r"{}_",
)
# Whose licence it is stays; a lock is of packages.
KEPT = ("LICENSE", "requirements*.txt", "bench/requirements.txt")


class Name(NamedTuple):
    """my-product, and what it becomes where that cannot be written."""

    plain: str

    @property
    def snake(self) -> str:
        return self.plain.replace("-", "_")

    @property
    def upper(self) -> str:
        return self.snake.upper()

    @property
    def title(self) -> str:
        return " ".join(word.capitalize() for word in self.plain.split("-"))

    @property
    def _pattern(self) -> str:
        """As a word of its own; 52NAME and NAME_x have it too."""
        return rf"(?<![A-Za-z])(?:{self.plain}|{self.snake})(?![A-Za-z0-9])"

    def is_in(self, text: str) -> bool:
        return re.search(self._pattern, text) is not None

    def respell(self, path: str, text: str, new: "Name") -> str:
        """The text of a file, or its own name, with the new name in the place of this one."""
        text = re.sub(rf"(?<![A-Za-z]){self.title}(?![A-Za-z])", new.title, text)
        text = re.sub(rf"(?<![A-Z]){self.upper}(?![A-Z0-9])", new.upper, text)
        spans = [
            found.span()
            for place in ON_SERVERS
            for found in re.finditer(place.replace("{}", self._pattern), text)
        ]
        on_servers = any(fnmatch(path, pattern) for pattern in SERVERS)

        def spelt(found: re.Match[str]) -> str:
            if self.plain != self.snake:
                return new.plain if found[0] == self.plain else new.snake
            inside = any(start <= found.start() and found.end() <= end for start, end in spans)
            return new.snake if on_servers or inside else new.plain

        return re.sub(self._pattern, spelt, text)
