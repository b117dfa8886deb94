"""The rules about imports, each a function that reads the source of a tree and yields problems.

The source and not the imported modules: an upward import is a cycle, which would hide the message.
"""

import ast
from collections.abc import Iterator
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

# Files of service/ that import everything and are imported by no layer.
ENTRY_POINTS = ("__main__", "app", "demo", "dev", "scheduler", "wsgi", "worker")
OF_DEPLOY = ("service.environment", "service.settings")  # all that deploy/ may import of it
MAY_IMPORT_APP = ("__main__", "demo", "scheduler", "wsgi", "worker")

# Imports inside a function: (file, what), and what they would cost at the top.
LATE = {
    ("deploy/cli.py", "deploy"): "Alembic: 0.3 s, for one verb",
    ("deploy/readiness/repository.py", "deploy"): "Alembic: 0.3 s, for one item",
    # target: vps
    ("deploy/vps/cli.py", "deploy"): "pyinfra, with gevent and paramiko: 0.5 s, for one verb",
    # end of target: vps
    ("gunicorn.conf.py", "service"): "see below",
    ("gunicorn.conf.py", "prometheus_client"): "is fixed at import to the folder that is set here",
    ("service/app.py", "flask_cors"): "optional; 60 µs a request",
    ("service/app.py", "service"): "optional: /ops; spans.py, with OpenTelemetry: 75 ms and 7 MB",
    ("service/mail.py", "email"): "with smtplib 30 ms, that only a worker needs to pay",
    ("service/mail.py", "smtplib"): "see above",
    ("service/mail.py", "ssl"): "see above",
    ("service/migrations.py", "alembic"): "0.3 s that only a migration needs to pay",
    ("service/ports.py", "psutil"): "a development dependency, missing in production",
    ("service/reports.py", "sentry_sdk"): "optional; 0.15 s and 15 MB",
    ("service/secretstore.py", "service"): "http.client with ssl, or botocore: 0.4 s, for who asks",
    ("service/server.py", "service"): "its metrics need what gunicorn.conf.py sets",
    ("service/environment.py", "tomllib"): "10 ms that not each start needs to pay",
}
LATE_ANYTHING = ("deploy/__main__.py", "service/__main__.py")  # each command pays for what it needs

# Inside a feature a file imports files of lower ranks; files not named here are of rank 2.
RANKS = {"models": 0, "schemas": 1, "jobs": 1, "routes": 3, "__init__": 4}
OTHER = 2


class Import(NamedTuple):
    """`path` imports the module `name` at `line`, perhaps inside a function."""

    path: str
    line: int
    name: str
    late: bool

    def says(self, message: str) -> str:
        return f"{self.path}:{self.line}: {message}"


class Tree:
    """The Python files of a repository."""

    def __init__(self, root: Path) -> None:
        folders = ("service", "deploy", "migrations")
        paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
        paths += [path for path in [root / "gunicorn.conf.py"] if path.exists()]
        self.sources = {
            path.relative_to(root).as_posix(): ast.parse(path.read_text()) for path in paths
        }
        self.modules = {module_of(path): path for path in self.sources}

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The names in FEATURES of service/app.py, whose order is the law."""
        for node in ast.walk(self.sources["service/app.py"]):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FEATURES":
                assert isinstance(node.value, ast.Tuple), "FEATURES lacks its trailing comma"
                return tuple(ast.unparse(each) for each in node.value.elts)
        raise AssertionError("service/app.py has no FEATURES")

    @cached_property
    def imports(self) -> list[Import]:
        return [each for path, tree in self.sources.items() for each in self._imports(path, tree)]

    def of_chassis(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return folder == "service" and name.removesuffix(".py") not in ENTRY_POINTS

    def feature(self, module: str) -> str | None:
        """The feature that a module belongs to."""
        name = module.split(".")[1] if module.startswith("service.") else ""
        return name if f"service/{name}/__init__.py" in self.sources else None

    def _imports(self, path: str, tree: ast.AST, late: bool = False) -> Iterator[Import]:
        for node in ast.iter_child_nodes(tree):
            for name in self._names(path, node):
                yield Import(path, getattr(node, "lineno", 0), name, late)
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from self._imports(path, node, late or inside)

    def _names(self, path: str, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                parts = Path(path).with_suffix("").parts
                start = ".".join([*parts[: -node.level], *filter(None, [start])])
            for alias in node.names:  # `from service import posts` imports a module
                inner = f"{start}.{alias.name}"
                yield inner if inner in self.modules else start


Problems = Iterator[str]


def chassis_stands_below(tree: Tree) -> Problems:
    """Chassis files import neither features nor entry points."""
    for each in filter(lambda each: tree.of_chassis(each.path), tree.imports):
        if tree.feature(each.name):
            yield each.says(f"the chassis imports the feature {each.name}")
        if each.name in (f"service.{name}" for name in ENTRY_POINTS):
            yield each.says(f"the chassis imports the entry point {each.name}")


def features_look_up(tree: Tree) -> Problems:
    """Features import the chassis, and features above them in FEATURES."""
    for each in tree.imports:
        if (own := tree.feature(module_of(each.path))) is None:
            continue
        other = tree.feature(each.name)
        above = tree.features[: tree.features.index(own)] if own in tree.features else ()
        if other and other != own and other not in above:
            yield each.says(f"{own} imports {other}, which is not above it in FEATURES")
        if each.name in (f"service.{name}" for name in ENTRY_POINTS):
            yield each.says(f"a feature imports the entry point {each.name}")


def only_entry_points_import_the_app(tree: Tree) -> Problems:
    allowed = {"migrations/env.py", *(f"service/{name}.py" for name in MAY_IMPORT_APP)}
    for each in tree.imports:
        if each.name == "service.app" and each.path not in allowed:
            yield each.says("imports service.app, which only entry points may")


def files_of_a_feature_have_an_order(tree: Tree) -> Problems:
    """models <- schemas, jobs <- others <- routes <- __init__"""

    def rank(module: str) -> int:
        name = Path(tree.modules.get(module, "__init__.py")).stem
        return RANKS.get(name, OTHER)

    for each in tree.imports:
        own = tree.feature(module := module_of(each.path))
        if own and tree.feature(each.name) == own and rank(each.name) >= rank(module):
            yield each.says(f"{module} imports {each.name}: models <- schemas, jobs <- routes")


def modules_have_no_cycle(tree: Tree) -> Problems:
    graph: dict[str, set[str]] = {}
    for each in tree.imports:
        if each.name in tree.modules:
            graph.setdefault(module_of(each.path), set()).add(each.name)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"import each other: {' <- '.join(error.args[1])}"


def imports_are_at_the_top(tree: Tree) -> Problems:
    for each in filter(lambda each: each.late, tree.imports):
        top = each.name.partition(".")[0]
        if each.path not in LATE_ANYTHING and (each.path, top) not in LATE:
            yield each.says(f"imports {each.name} inside a function")


def nothing_hides_behind_type_checking(tree: Tree) -> Problems:
    for path, source in tree.sources.items():
        for node in ast.walk(source):
            if "TYPE_CHECKING" in (getattr(node, "id", ""), getattr(node, "attr", "")):
                yield f"{path}:{node.lineno}: TYPE_CHECKING hides a cycle"  # type: ignore[attr-defined]


def one_file_reads_the_environment(tree: Tree) -> Problems:
    """gunicorn.conf.py may set a variable; on a server the settings' library may not be there."""
    for path, source in tree.sources.items():
        if path in ("service/environment.py", "deploy/vps/host/surroundings.py"):
            continue
        assigned = [
            target.value
            for node in ast.walk(source)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Subscript) and path == "gunicorn.conf.py"
        ]
        for node in ast.walk(source):
            name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            if isinstance(node, ast.ImportFrom) and node.module == "os":
                name = f"os.{' '.join(alias.name for alias in node.names)}"
            if name.startswith(("os.environ", "os.getenv", "os.putenv")) and node not in assigned:
                yield f"{path}:{node.lineno}: reads the environment"  # type: ignore[attr-defined]


def neighbours_keep_apart(tree: Tree) -> Problems:
    """The service does not know what deploys or tests it, and revisions outlive the models."""
    for each in tree.imports:
        top = each.name.partition(".")[0]
        if each.path.startswith("service/") and top in ("deploy", "tests", "bench", "migrations"):
            yield each.says(f"the service imports {each.name}")
        if each.path.startswith("deploy/") and top == "service" and each.name not in OF_DEPLOY:
            yield each.says(f"deploy imports {each.name}: only {' and '.join(OF_DEPLOY)}")
        if each.path.startswith("migrations/versions/") and top == "service":
            yield each.says(f"a revision imports {each.name}, which will change")


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


RULES = (
    chassis_stands_below,
    features_look_up,
    only_entry_points_import_the_app,
    files_of_a_feature_have_an_order,
    modules_have_no_cycle,
    imports_are_at_the_top,
    nothing_hides_behind_type_checking,
    one_file_reads_the_environment,
    neighbours_keep_apart,
)
