"""Procfile and app.json."""

from pathlib import Path

from deploy.manifest import Kind, Manifest, Platform, Process, Stage, Variable
from deploy.reading import Node, Place, procfile, read, yaml_file

# The buildpack sets WEB_CONCURRENCY and GUNICORN_CMD_ARGS, the router waits 30 s and keeps
# connections for 90; each process of a dyno is told to stop and has 30 s.
PLATFORM = Platform(
    name="heroku",
    grace=30,
    grace_most=30,
    sets={"PORT": None, "WEB_CONCURRENCY": None, "GUNICORN_CMD_ARGS": None},
    hops=1,
    idle=90,
    answers_within=30,
    connections=20,  # of essential-0
    asks=False,
    overlaps=False,  # but with preboot, on standard and performance dynos
)
KINDS: tuple[Kind, ...] = ("web", "worker", "scheduler")
ADDONS = {"heroku-postgresql": "DATABASE_URL", "heroku-redis": "REDIS_URL"}
# Plans and stacks, and their last day: https://devcenter.heroku.com/articles/stack
GONE = {"hobby-dev": "2022-11-28"}
STACKS = {"heroku-18": "2023-04-30", "heroku-20": "2025-04-30", "heroku-22": "2027-04-30"}


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there or does not parse."""
    commands, app = procfile(root, "Procfile"), yaml_file(root, "app.json")
    version = read(root, ".python-version").strip()
    base = _variables(app, "env") | _addons(app, "addons")
    review = base | _variables(app, "environments", "review", "env")
    review |= _addons(app, "environments", "review", "addons")
    stages = [_stage("production", commands, app, base)]
    if app.get("environments", "review"):
        stages.append(_stage("staging", commands, app, review))
    return Manifest(
        platform=PLATFORM,
        stages=tuple(stages),
        python=(Place(".python-version", 1), version),
        deprecated=_gone(root, app),
        schemas=(("heroku-app-json.schema.json", app),),
    )


def _stage(name: str, commands: dict[str, Node], app: Node, given: dict[str, Variable]) -> Stage:
    processes: dict[Kind, Process] = {}
    for kind in KINDS:
        if command := commands.get(kind):
            quantity = app.get("formation", kind, "quantity")
            processes[kind] = Process(
                kind,
                command.place,
                str(command.value),
                given,
                instances=quantity,
            )
    migrates = commands.get("release")
    if migrates:
        processes["migrate"] = Process("migrate", migrates.place, str(migrates.value), given)
    where = app.get("environments", "review") if name == "staging" else app
    assert where is not None
    return Stage(name, where.place, processes, migrates.place if migrates else None)


def _variables(app: Node, *path: str) -> dict[str, Variable]:
    found = {}
    for name, node in app.items(*path):
        made = node.text("generator") == "secret"
        value = node.get("value") or node
        written = None if made else node.text("value") or ""
        # app.json is read for the button and review apps, not by `heroku create`.
        found[name] = Variable(name, value.place, written, made, by_hand=True)
    return found


def _addons(app: Node, *path: str) -> dict[str, Variable]:
    found = {}
    for node in app.each(*path):
        plan = str(node.text("plan") or node.value)
        if name := ADDONS.get(plan.partition(":")[0]):
            found[name] = Variable(name, node.place)
    return found


def _gone(root: Path, app: Node) -> tuple[tuple[Place, str, str | None], ...]:
    found: list[tuple[Place, str, str | None]] = [
        (node.place, f"the plan {plan}", GONE[plan.partition(":")[2]])
        for node in app.each("addons")
        if (plan := str(node.text("plan") or "")).partition(":")[2] in GONE
    ]
    if (stack := app.get("stack")) and stack.value in STACKS:
        found.append((stack.place, f"the stack {stack.value}", STACKS[str(stack.value)]))
    if (root / "runtime.txt").exists():
        found.append((Place("runtime.txt", 1), "runtime.txt, now .python-version", None))
    return tuple(found)
