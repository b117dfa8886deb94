"""Sphinx's settings: the site is made of the pages as they lie in the repository.

Add a page: a file in docs/, which the navigation finds. For a place of its own: its name in
pages.NAVIGATION.
"""

from pathlib import Path

from sphinx.application import Sphinx

from docs import pages
from service import environment

ROOT = Path(__file__).resolve().parent.parent
name, release = environment.project()
project = " ".join(word.capitalize() for word in name.split("-"))
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = pages.every(ROOT)
exclude_patterns = [".*", "bench", "migrations", "service", "tests"]  # are not even looked through
myst_heading_anchors = 3  # links to headings, as forges make them
html_theme = "furo"
html_title = project
html_static_path: list[str] = []
html_copy_source = html_show_sourcelink = html_show_copyright = False
html_show_search_summary = False  # it would be fetched, which a page in a folder may not


def setup(app: Sphinx) -> None:
    app.connect("source-read", _complete)
    app.connect("build-finished", _open)


def _complete(_: Sphinx, name: str, source: list[str]) -> None:
    source[0] = pages.complete(ROOT, f"{name}.md", source[0])


def _open(app: Sphinx, error: Exception | None) -> None:
    """What a server, or a person with a folder, opens first."""
    if error is None:
        folder = Path(app.outdir)
        (folder / "index.html").write_text((folder / f"{root_doc}.html").read_text())
