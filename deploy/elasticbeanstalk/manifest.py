"""The bundle's Procfile, .ebextensions and hooks; the options of each stage, and its saved
configuration."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from deploy.elasticbeanstalk import references, rollout
from deploy.elasticbeanstalk.options import SECRETS, schema_of
from deploy.manifest import (
    LASTING,
    Finding,
    Kind,
    Manifest,
    Platform,
    Probe,
    Process,
    Stage,
    Variable,
)
from deploy.reading import Node, Place, commands, procfile, read, yaml_file
from deploy.shell import Failed

# The units of the platform leave the time to stop to systemd: 90 s, of each process of a unit at
# once. The two hops are the balancer and nginx on the instance.
PLATFORM = Platform(
    name="elasticbeanstalk",
    grace=90,
    grace_most=90,
    hops=2,
    connections=380,  # of db.t4g.medium: 4 GiB, less what the host keeps, / 9531392
    silent={"deprecated": "no form of ours is"},
)
FOLDER = "deploy/elasticbeanstalk"
BUNDLE = f"{FOLDER}/bundle"
STAGES = ("production", "staging")
# The platform's own nginx.conf: it closes idle connections, and gives up on web, after so long.
NGINX = 60

ENVIRONMENT = "aws:elasticbeanstalk:application:environment"
Options = references.Options


def read_manifest(root: Path) -> Manifest:
    """Raises Failed if a file is not there or does not parse, if the Procfile holds what must not
    run for ever, an option is set twice, or the balancer keeps connections longer than nginx."""
    lines = _processes(root)
    configs = sorted((root / BUNDLE / ".ebextensions").glob("*.config"))
    common = [_settings(root, path.relative_to(root).as_posix()) for path in configs]
    own = {name: _of_stage(root, name) for name in STAGES}
    options = {name: _options(common + own[name]) for name in STAGES}
    stages = tuple(_stage(root, name, lines, options[name]) for name in STAGES)
    waits = [_idle(_options(own[name]), stages[n].place) for n, name in enumerate(STAGES)]
    every = [*common, *(each for nodes in own.values() for each in nodes)]
    return Manifest(
        platform=replace(PLATFORM, answers_within=min(*waits, NGINX)),
        stages=stages,
        python=_python(root),
        schemas=tuple(("aws-elastic-beanstalk-options.json", each) for each in every if each.value),
        schema_of=schema_of,
        findings=tuple(_findings(root, stages, options)),
    )


def _findings(
    root: Path, stages: tuple[Stage, ...], options: dict[str, Options]
) -> Iterator[Finding]:
    roles = yaml_file(root, f"{FOLDER}/roles.yaml")
    for stage in stages:
        said, web = options[stage.name], stage.processes.get("web")
        yield from references.look(stage.name, stage.place, said, roles)
        yield from rollout.look(stage.name, stage.place, said, web)
    if hook := _hook(root):
        yield from rollout.goes_on(root, hook.place)


def _processes(root: Path) -> dict[str, Node]:
    """The Procfile's lines. Elastic Beanstalk starts each of them again and again."""
    lines = procfile(root, f"{BUNDLE}/Procfile")
    for name, node in lines.items():
        if name not in LASTING:
            raise Failed(f"{node.place}: {name} would be started again whenever it ends: a hook?")
    return lines


def _of_stage(root: Path, name: str) -> list[Node]:
    saved = yaml_file(root, f"{FOLDER}/{name}.cfg.yml")
    if saved.text("AWSConfigurationTemplateVersion") != "1.1.0.0":
        raise Failed(f"{saved.place}: AWSConfigurationTemplateVersion: 1.1.0.0 is not there")
    return [
        _settings(root, f"{FOLDER}/stages/{name}.config"),
        saved.get("OptionSettings") or Node({}, saved.place),
    ]


def _settings(root: Path, name: str) -> Node:
    """A file's option_settings, by namespace; none at all is fine, a list is not: one of the two
    ways to write them is enough."""
    file = yaml_file(root, name)
    found = file.get("option_settings") or Node({}, file.place)
    if not isinstance(found.value, dict):
        raise Failed(f"{found.place}: write option_settings as NAMESPACE: {{ OPTION: VALUE }}")
    return found


def _options(files: list[Node]) -> Options:
    """All of them in one. Raises Failed for one that is there twice: a saved configuration would
    win over the bundle for ever, and no deploy change it."""
    found: Options = {}
    for file in files:
        for namespace, node in file.items():
            for name, value in node.items():
                if before := found.get((namespace, name)):
                    raise Failed(f"{value.place}: {name} is set at {before.place} too")
                found[namespace, name] = value
    return found


def _stage(root: Path, name: str, lines: dict[str, Node], options: Options) -> Stage:
    variables = _variables(options)
    place = Place(f"{FOLDER}/{name}.cfg.yml", 1)
    path = options.get((rollout.PROCESS, "HealthCheckPath"))
    # By default 1 and 4.
    least = rollout.number(options, "aws:autoscaling:asg", "MinSize")
    most = rollout.number(options, "aws:autoscaling:asg", "MaxSize") or Node(4, place)
    processes: dict[Kind, Process] = {
        kind: Process(
            kind,
            line.place,
            str(line.value),
            variables,
            probes=(Probe(str(path.value), path.place),) if path and kind == "web" else (),
            instances=most,
            least=least,
        )
        for kind in LASTING
        if (line := lines.get(kind))
    }
    hook = _hook(root)
    if hook:
        processes["migrate"] = Process("migrate", hook.place, str(hook.value), variables)
    return Stage(name, place, processes, hook.place if hook else None)


def _variables(options: Options) -> dict[str, Variable]:
    """The environment's, which all processes of an instance share; of a secret, its ARN."""
    found = {}
    for (namespace, name), node in options.items():
        text = str(node.value)
        if namespace == ENVIRONMENT:
            found[name] = Variable(name, node.place, text)
        elif namespace == SECRETS:
            value = None if text.startswith("arn:") else text
            refers = text if value is None else None
            found[name] = Variable(name, node.place, value, by_hand=value is None, refers=refers)
    return found


def _hook(root: Path) -> Node | None:
    """The command that migrates, in a hook that runs before the new version does."""
    for path in sorted((root / BUNDLE / ".platform/hooks/predeploy").glob("*")):
        name = path.relative_to(root).as_posix()
        for number, line in enumerate(read(root, name).splitlines(), 1):
            if found := re.match(r"[^#]*\b(python3? -m service\b.*)", line):
                return Node(found[1], Place(name, number))
    return None


def _idle(options: Options, place: Place) -> int:
    """Seconds after which the balancer closes a connection, or gives up on an answer. nginx must be
    the last to close one, or the balancer would send requests into it."""
    node = rollout.number(options, "aws:elbv2:loadbalancer", "IdleTimeout")
    if node is None:
        raise Failed(f"{place}: has no IdleTimeout: the balancer's own is the {NGINX} s of nginx")
    if node.value >= NGINX:
        raise Failed(f"{node.place}: IdleTimeout must be less than the {NGINX} s of nginx")
    return int(node.value)


def _python(root: Path) -> tuple[Place, str] | None:
    """Of the platform branch that the page names: no file of ours does, since it has a patch
    number that is soon too old to be made anew."""
    for line in commands(root, f"{FOLDER}/README.md", "First deploy"):
        if found := re.search(r"Python (\d+\.\d+) running on", str(line.value)):
            return line.place, found[1]
    return None
