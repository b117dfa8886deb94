"""Of this repository: what is installed is known, and the template's own is gone."""

import re

from deploy.readiness import locks
from deploy.readiness.answers import Answer, failed, passed
from deploy.readiness.subject import Subject

TEMPLATE = "".join(("slip", "way"))  # in two parts: renaming leaves it as it is
SAMPLE = "service/posts"
POLICY = ("SECURITY.md", ".github/SECURITY.md", "docs/SECURITY.md")
CONTACT = re.compile(r"[\w.+-]+@([\w-]+\.)+\w+|https://[\w./-]+|private vulnerability report", re.I)
NOT_YOURS = re.compile(r"example\.(com|org|net)|OWNER|TODO", re.I)


def locked_dependencies(subject: Subject) -> Answer:
    """What is installed is pinned, with hashes, and is what pyproject.toml asks for."""
    if wrong := list(locks.problems(subject.root)):
        return failed(wrong[0], "make lock")
    count = len(dict(locks.read_lock(subject.root / "requirements.txt")))
    return passed(f"{count} packages in requirements.txt, each with its hashes")


def migrations(subject: Subject) -> Answer:
    """No revision holds up or breaks what serves, unless it says why."""
    from deploy.migrations import lint, revisions  # Alembic: 0.3 s, for one item

    scripts = revisions.read(subject.root)
    for script in scripts:
        for refused in lint.look(subject.root, script):
            said = f"{refused.place}: {refused.rule}: {refused.what}"
            return failed(said, "python -m deploy lint-migrations")
    return passed(f"{len(scripts)} revisions")


def security_contact(subject: Subject) -> Answer:
    """Who finds a hole knows whom to tell."""
    for name in POLICY:
        file = subject.root / name
        text = file.read_text() if file.is_file() else ""
        for found in CONTACT.finditer(text):
            if not NOT_YOURS.search(found[0]):
                return passed(f"{name}: {found[0]}")
        if text:
            return failed(f"{name} names nobody to tell", "put in an address that somebody reads")
    return failed(f"there is no {POLICY[0]}", "write one: whom to tell, and how soon you answer")


def sample_removed(subject: Subject) -> Answer:
    """The sample is gone: it is no part of your product."""
    if (subject.root / SAMPLE).is_dir():
        return failed(f"{SAMPLE} is there", "make remove-sample")
    return passed(f"there is no {SAMPLE}")


def name_changed(subject: Subject) -> Answer:
    """The product has a name of its own."""
    if subject.name == TEMPLATE:
        return failed(f"pyproject.toml: it is called {TEMPLATE}", "make rename NAME=…")
    return passed(subject.name)
