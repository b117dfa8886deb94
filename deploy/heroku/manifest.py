"""Procfile and app.json."""

import re
from collections.abc import Iterator
from pathlib import Path

from deploy.manifest import LASTING, Finding, Kind, Manifest, Platform, Process, Stage, Variable
from deploy.reading import Node, Place, procfile, read, yaml_file
from deploy.shell import Failed

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
    silent={
        "health": "the router does not ask",
        "port": "it sets PORT, and its manifest names none",
    },
)
ADDONS = {"heroku-postgresql": "DATABASE_URL", "heroku-redis": "REDIS_URL"}
SLEEPS = ("eco", "free")
NO = ("false", "0", "no", "off", "n", "f")
# Plans and stacks, and their last day: https://devcenter.heroku.com/articles/stack
GONE = {"hobby-dev": "2022-11-28"}
STACKS = {"heroku-18": "2023-04-30", "heroku-20": "2025-04-30", "heroku-22": "2027-04-30"}


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there, does not parse, or has no number where one belongs."""
    commands, app = procfile(root, "Procfile"), yaml_file(root, "app.json")
    review = app.get("environments", "review") or Node({}, Place("app.json", 1))
    base = _variables(app)
    stages = [_stage("production", commands, app, app, base)]
    if review.value:
        stages.append(_stage("staging", commands, app, review, base | _variables(review)))
    else:  # all of it is missed
        stages.append(Stage("staging", review.place, {}, None))
    return Manifest(
        platform=PLATFORM,
        stages=tuple(stages),
        python=_python(root),
        deprecated=_gone(root, app),
        schemas=(("heroku-app-json.schema.json", app),),
        findings=(
            *_of_dynos(app),
            *_of_dynos(review),
            *(each for stage in stages for each in _of_redis(stage)),
        ),
    )


def _stage(
    name: str, commands: dict[str, Node], app: Node, own: Node, given: dict[str, Variable]
) -> Stage:
    """Add-ons and formation of an environment are there in the place of the root's."""
    given = given | _addons(own if own.get("addons") else app)
    formation = own.get("formation") or app.get("formation") or Node({}, app.place)
    processes: dict[Kind, Process] = {}
    for kind in LASTING:
        if command := commands.get(kind):
            count = _quantity(formation, kind)
            processes[kind] = Process(
                kind, command.place, str(command.value), given, instances=count, least=count
            )
    migrates = commands.get("release")
    if migrates:
        processes["migrate"] = Process("migrate", migrates.place, str(migrates.value), given)
    return Stage(name, own.place, processes, migrates.place if migrates else None)


def _quantity(formation: Node, kind: Kind) -> Node:
    """Of what is not in the formation, only web is started."""
    given = formation.whole(kind, "quantity")
    return given or Node(1 if kind == "web" else 0, (formation.get(kind) or formation).place)


def _of_dynos(app: Node) -> Iterator[Finding]:
    for kind, each in app.items("formation"):
        if (size := each.get("size")) and str(size.value).lower() in SLEEPS:
            yield Finding(
                "release",
                size.place,
                f"{kind} sleeps when nobody has asked web for 30 minutes, and jobs lie",
                "basic, or larger",
            )


def _of_redis(stage: Stage) -> Iterator[Finding]:
    """Heroku's has a certificate that is self-signed, whatever the plan."""
    for kind, process in stage.processes.items():
        redis, verify = (process.variables.get(each) for each in ("REDIS_URL", "REDIS_TLS_VERIFY"))
        if redis is None or redis.by_hand:  # from elsewhere
            continue
        if verify is None or str(verify.value).lower() not in NO:
            yield Finding(
                "references",
                (verify or redis).place,
                f"{kind} of {stage.name} refuses the certificate of heroku-redis: it is"
                " self-signed",
                "REDIS_TLS_VERIFY=false",
            )


def _python(root: Path) -> tuple[Place, str]:
    """The buildpack takes 3.13 and 3.13.5, and comments. Raises Failed for anything else."""
    lines = enumerate(read(root, ".python-version").splitlines(), 1)
    said = [(n, line.strip()) for n, line in lines if line.strip() and line.strip()[0] != "#"]
    found = re.fullmatch(r"(\d+\.\d+)(\.\d+)?", said[0][1]) if len(said) == 1 else None
    number = said[-1][0] if said else 1
    if not found:
        raise Failed(f".python-version:{number}: is not one version, such as 3.13")
    return Place(".python-version", number), found[1]


def _variables(app: Node) -> dict[str, Variable]:
    """Without a value, it is asked for; one that is not required is not set."""
    found = {}
    for name, node in app.items("env"):
        made = node.text("generator") == "secret"
        value = node.get("value") or (node if not isinstance(node.value, dict) else None)
        if not made and value is None and str(node.text("required")).lower() == "false":
            continue
        place = (value or node).place
        written = None if made or value is None else str(value.value)
        # app.json is read for the button and review apps, not by `heroku create`.
        found[name] = Variable(name, place, written, made, by_hand=True)
    return found


def _addons(app: Node) -> dict[str, Variable]:
    """What they set: by another name, `as`, another variable."""
    found = {}
    for node in app.each("addons"):
        if name := ADDONS.get(_plan(node).partition(":")[0]):
            if named := node.text("as"):
                name = f"{named.upper()}_URL"
            found[name] = Variable(name, node.place)
    return found


def _plan(addon: Node) -> str:
    return str(addon.text("plan") or addon.value)


def _gone(root: Path, app: Node) -> tuple[tuple[Place, str, str | None], ...]:
    found: list[tuple[Place, str, str | None]] = [
        (node.place, f"the plan {plan}", GONE[plan.partition(":")[2]])
        for node in [*app.each("addons"), *app.each("environments", "review", "addons")]
        if (plan := _plan(node)).partition(":")[2] in GONE
    ]
    if (stack := app.get("stack")) and stack.value in STACKS:
        found.append((stack.place, f"the stack {stack.value}", STACKS[str(stack.value)]))
    if (root / "runtime.txt").exists():
        found.append((Place("runtime.txt", 1), "runtime.txt, now .python-version", None))
    return tuple(found)
