"""The documentation's site: how it is built, and what of it leads nowhere."""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from docs.pages import every

# Files that a page names, as people write them: from the root, in code.
FOLDERS = ("bench", "deploy", "docs", "migrations", "service", "tests")
NAMED = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./@-]*\w)`")
YOURS = ("deploy/servers.toml", "deploy/servers.staging.toml")  # that one makes oneself
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href"}


def build(root: Path, folder: Path) -> list[str]:
    """The command that makes it: every warning is an error."""
    words = "--quiet --fail-on-warning --keep-going --nitpicky --fresh-env --conf-dir"
    return [
        sys.executable,
        "-m",
        "sphinx",
        *words.split(),
        str(root / "docs"),
        str(root),
        str(folder),
    ]


class Page(HTMLParser):
    """What a page links to, what it loads, and what one can link to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        if id := found.get("id"):
            self.ids.add(id)
        if tag == "a" and (link := found.get("href")):
            self.links.append(link)
        if address := found.get(LOADED.get(tag, "")):
            self.loads.append(address)


def dead_links(folder: Path) -> Iterator[str]:
    """Of the site as it was built: what is loaded from elsewhere, or is not there."""
    pages = {path: Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(folder)
        for address in page.loads:
            if urlsplit(address).netloc:
                yield f"{name} loads {address}, which is elsewhere"
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{name} leads to {link}, which is not there"
            elif parts.fragment and target in pages and parts.fragment not in pages[target].ids:
                yield f"{name} leads to {link}, and there is no such place in it"


def files_that_are_not_there(root: Path) -> Iterator[str]:
    """Of the pages as they are written."""
    for page in every(root):
        for number, line in enumerate((root / page).read_text().splitlines(), 1):
            for named in NAMED.findall(line):
                if named not in YOURS and not (root / named).exists():
                    yield f"{page}:{number}: {named} is not there"
