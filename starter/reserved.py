"""Which names a product cannot have: each check says why, in a line.

Add a limit of a platform: a line in LIMITS, with what the name becomes there.
"""

import keyword
import re
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch

from starter.names import KEPT, Name
from starter.refusal import Refused
from starter.tree import Tree

# Held against the targets that are left: what it becomes there, and the characters that may have.
LIMITS = (
    ("heroku", "an app of Heroku", "{}-staging", 3, 30),
    ("cloudrun", "a service account of Google Cloud", "{}", 6, 30),
    ("cloudrun", "a service account of Google Cloud", "{}-staging", 6, 30),
    ("digitalocean", "an app of DigitalOcean", "{}-staging", 2, 32),
    ("ecs", "a load balancer of AWS", "{}-production", 1, 32),
    ("elasticbeanstalk", "an environment of Elastic Beanstalk", "{}-production", 4, 40),
    ("kubernetes", "a namespace of Kubernetes", "{}-staging", 1, 63),
    ("vps", "a user of Linux", "{}", 1, 32),
)
# Where a name may stand by chance, or as an example.
PROSE = (*KEPT, "*.md", "Makefile", "starter/*", "tests/starter/*", "tests/clones/*")
MOST = 40  # of a label of DNS, 63, with what is put before and behind the name

# Users, databases, hosts and branches that are others', on servers and platforms.
THEIRS = frozenset(
    "aide blue certbot clamav daemon default green internal latest localhost mail main master"
    " nobody nginx none postgres postgresql production public redis root s3 service sshd staging"
    " systemd template0 template1 valkey www".split()
)


def refuse(new: Name, old: Name, tree: Tree) -> None:
    """Raises Refused for a name that the product cannot have."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", new.plain):
        raise Refused(
            f"{new.plain!r} is no name for a product: lower-case letters and digits, in words with"
            " a hyphen between them, such as my-product"
        )
    if new == old:
        raise Refused(f"the product is called {new.plain} already")
    for taken, words in _taken(tree):
        if new.plain in words or new.snake in words:
            raise Refused(f"{new.plain!r} is {taken}: choose another name")
    for target, what, form, least, most in LIMITS:
        made = form.format(new.plain)
        if tree.has(f"deploy/{target}") and not least <= len(made) <= most:
            raise Refused(
                f"{new.plain!r} makes {made!r} the name of {what}, which has {least} to {most}"
                f" characters: choose another, or `make target-remove TARGET={target}` first"
            )
    if len(new.plain) > MOST:
        raise Refused(f"{new.plain!r} has more than {MOST} characters: choose a shorter name")
    for name, text in tree.texts():
        if not any(fnmatch(name, each) for each in PROSE) and new.is_in(text):
            raise Refused(
                f"{new.plain!r} stands in {name} already, where it means something else: nobody"
                " could tell the two apart later. Choose another name"
            )


def _taken(tree: Tree) -> Iterator[tuple[str, set[str] | frozenset[str]]]:
    yield "a word of Python", set(keyword.kwlist) | set(keyword.softkwlist)
    yield "a module of Python's own library", sys.stdlib_module_names
    yield "a name that others have on servers and platforms", THEIRS
    names = tree.names()
    yield "a folder or module here", {name.partition("/")[0].partition(".")[0] for name in names}
    inside = {
        name.split("/")[1].removesuffix(".py") for name in names if name.startswith("service/")
    }
    yield "a part of service/", inside
    yield "a target", {name.split("/")[1] for name in names if name.startswith("deploy/")}
    compose = "".join(
        tree.text(n) or "" for n in ("compose.yaml", "compose.production.yaml") if tree.has(n)
    )
    yield "a service of Compose", set(re.findall(r"^  ([a-z0-9-]+):$", compose, re.M))
    project = tomllib.loads(tree.text("pyproject.toml") or "")
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    yield "a dependency", {re.split(r"[^\w-]", each)[0].lower() for each in wanted}
