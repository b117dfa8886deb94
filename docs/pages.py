"""Which pages the site has, in which order; and what of them is made as it is built."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from deploy import readiness
from service.environment import is_secret, variable
from service.settings import Settings
from service.variables import Rate

FIRST = "README.md"
# The first pattern that finds a page has it; what is not there, is not there.
NAVIGATION: dict[str, tuple[str, ...]] = {
    "Begin": ("docs/tour.md", "docs/starter.md", "docs/configuration.md"),
    "Operate": (
        "docs/checklist.md",
        "docs/operations.md",
        "docs/alerts.md",
        "docs/ops.md",
        "docs/pipeline.md",
        "docs/secrets.md",
    ),
    "Where it runs": ("deploy/*/README.md", "deploy/vps/*.md"),
    "How it works": ("docs/jobs.md", "docs/migrations.md", "docs/*.md"),
    "The project": (
        "ARCHITECTURE.md",
        "docs/decisions.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ),
}
HIDDEN = "```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n"
SETTINGS, ITEMS = "<!-- made from the settings -->", "<!-- made from the checklist -->"


def navigation(root: Path) -> dict[str, list[str]]:
    """The pages below each heading."""
    found: dict[str, list[str]] = {}
    named = {each for patterns in NAVIGATION.values() for each in patterns if "*" not in each}
    for heading, patterns in NAVIGATION.items():
        found[heading] = []
        for pattern in patterns:
            there = sorted(path.relative_to(root).as_posix() for path in root.glob(pattern))
            known = {each for pages in found.values() for each in pages}
            own = named - ({pattern} if "*" not in pattern else set())
            found[heading] += [each for each in there if each not in known | own]
    return {heading: pages for heading, pages in found.items() if pages}


def every(root: Path) -> list[str]:
    return [FIRST, *(page for pages in navigation(root).values() for page in pages)]


def complete(root: Path, page: str, text: str) -> str:
    """A page with what is made of the code in it; the first one with the navigation."""
    if page == FIRST:
        text += "".join(
            "\n" + HIDDEN.format(caption=heading, pages="\n".join(pages))
            for heading, pages in navigation(root).items()
        )
    for mark, made in ((SETTINGS, lambda: settings(root)), (ITEMS, checklist)):
        if mark in text:
            text = text.replace(mark, "\n".join(made()))
    return text


def settings(root: Path) -> Iterator[str]:
    """A table for each block of the settings class: its comments name them."""
    fields = dict(Settings.model_fields)
    for line in (root / "service" / "settings.py").read_text().splitlines():
        if line.startswith("    # --- "):
            if heading := line.strip("# -"):
                yield from ("", f"## {heading}", "", "| variable | default | |", "|---|---|---|")
        name = line.strip().partition(":")[0]
        if line.startswith(f"    {name}: ") and name in fields:
            field = fields.pop(name)
            yield f"| `{variable(name, field)}` | {_default(field)} | {field.description} |"


def _default(field: Any) -> str:
    if field.is_required():
        return "required, secret" if is_secret(field) else "required"
    shown = "" if field.default in (None, ()) else f"`{_spelt(field.default)}`"
    return ", ".join(filter(None, (shown, "secret" if is_secret(field) else "")))


def _spelt(value: object) -> str:
    """As one writes it."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
            if seconds >= length and seconds % length == 0:
                return f"{seconds / length:g}{unit}"
        return f"{seconds * 1000:g}ms"
    if isinstance(value, Rate):
        return f"{value.count} per {_spelt(timedelta(seconds=value.seconds))}"
    if isinstance(value, bool):
        return str(value).lower()
    assert not isinstance(value, SecretStr)
    return str(value)


def checklist() -> Iterator[str]:
    """A table of the items, group by group."""
    for heading, items in readiness.ITEMS.items():
        yield from ("", f"## {heading}", "", "| item | what holds when it passes |", "|---|---|")
        for item in items:
            yield f"| {readiness.name(item)} | {readiness.promise(item)} |"
