"""Imports point downwards, one file reads the environment; the rules are in layers.py."""

from pathlib import Path

import pytest

from service.environment import ROOT
from tests import layers
from tests.layers import LATE, RULES, Problems, Tree

OURS = Tree(ROOT)

# A tree that keeps every rule.
GOOD = {
    "service/__init__.py": '"""."""',
    "service/app.py": "from service import users\nfrom service import posts\n"
    "FEATURES = (\n    users,\n    posts,\n)\ndef f():\n    from flask_cors import CORS",
    "service/wsgi.py": "from service.app import create_app",
    "service/__main__.py": "def web():\n    from service import wsgi",
    "service/environment.py": "import os\nos.environ.get('PORT')",
    "service/db.py": "from service.settings import Settings",
    "service/users/__init__.py": "from service.users.routes import bp",
    "service/users/models.py": "from service.db import Model",
    "service/users/current.py": "from .models import User",
    "service/users/routes.py": "from service.users import current, models",
    "service/posts/__init__.py": "from service.posts.routes import bp",
    "service/posts/routes.py": "from service.users import current_user",
    "migrations/env.py": "from service.app import FEATURES",
    "migrations/versions/1.py": "from alembic import op",
    "deploy/__main__.py": "from service.settings import Settings",
    "gunicorn.conf.py": "import os\nos.environ['A'] = 'b'",
}

# What breaks each rule: (rule, file, its source, what is said of it).
BROKEN = [
    (layers.chassis_stands_below, "service/db.py", "import service.users.models", "the feature"),
    (layers.chassis_stands_below, "service/db.py", "from service import users", "the feature"),
    (layers.chassis_stands_below, "service/db.py", "from . import users", "the feature"),
    (layers.chassis_stands_below, "service/db.py", "def f(): import service.wsgi", "entry point"),
    (layers.features_look_up, "service/users/models.py", "import service.posts", "not above it"),
    (layers.features_look_up, "service/new/__init__.py", "import service.users", "not above it"),
    (layers.features_look_up, "service/posts/models.py", "import service.app", "entry point"),
    (layers.only_entry_points_import_the_app, "service/x.py", "import service.app", "only entry"),
    (
        layers.files_of_a_feature_have_an_order,
        "service/users/models.py",
        "from service.users.schemas import UserOut",
        "models <- schemas",
    ),
    (
        layers.files_of_a_feature_have_an_order,
        "service/users/routes.py",
        "from service.users import bp",
        "models <- schemas",
    ),
    (layers.modules_have_no_cycle, "service/settings.py", "import service.db", "each other"),
    (layers.imports_are_at_the_top, "service/db.py", "def f():\n import json", "json inside"),
    (layers.imports_are_at_the_top, "service/db.py", "class C:\n def f():\n  import a", "inside"),
    (layers.imports_are_at_the_top, "service/db.py", "def f():\n import alembic", "inside"),
    (
        layers.nothing_hides_behind_type_checking,
        "service/db.py",
        "import typing\nif typing.TYPE_CHECKING:\n import json",
        "hides",
    ),
    (
        layers.one_file_reads_the_environment,
        "service/db.py",
        "import os\nos.environ['A'] = 'b'",
        "db.py:2",
    ),
    (layers.one_file_reads_the_environment, "service/db.py", "from os import environ", "reads"),
    (
        layers.one_file_reads_the_environment,
        "gunicorn.conf.py",
        "import os\na = os.environ['A']",
        "reads",
    ),
    (
        layers.one_file_reads_the_environment,
        "service/db.py",
        "import os\nos.getenv('A')",
        "reads",
    ),
    (layers.neighbours_keep_apart, "service/db.py", "import deploy.plan", "the service imports"),
    (
        layers.neighbours_keep_apart,
        "deploy/plan.py",
        "import service.db",
        "only service.env",
    ),
    (layers.neighbours_keep_apart, "migrations/versions/2.py", "import service.db", "will change"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_service_keeps_the_rule(rule: object) -> None:
    assert report(rule, ROOT) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_small_tree_can_keep_the_rule(rule: object, tmp_path: Path) -> None:
    assert report(rule, planted(tmp_path, {})) == []


@pytest.mark.parametrize(("rule", "path", "source", "said"), BROKEN)
def test_a_tree_that_breaks_the_rule_is_reported(
    rule: object, path: str, source: str, said: str, tmp_path: Path
) -> None:
    found = report(rule, planted(tmp_path, {"service/users/schemas.py": "", path: source}))
    assert len(found) == 1
    assert said in found[0]


def test_every_rule_has_a_tree_that_breaks_it() -> None:
    assert {rule for rule, *_ in BROKEN} == set(RULES)


def test_every_late_import_that_is_allowed_exists() -> None:
    late = {(each.path, each.name.partition(".")[0]) for each in OURS.imports if each.late}
    assert set(LATE) <= late


def test_features_on_one_line_without_a_comma_are_noticed(tmp_path: Path) -> None:
    root = planted(tmp_path, {"service/app.py": "from service import users\nFEATURES = (users)"})
    with pytest.raises(AssertionError, match="trailing comma"):
        report(layers.features_look_up, root)


def report(rule: object, root: Path) -> list[str]:
    assert callable(rule)
    found: Problems = rule(OURS if root == ROOT else Tree(root))
    return list(found)


def planted(root: Path, changes: dict[str, str]) -> Path:
    for path, source in (GOOD | changes).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(source)
    return root
