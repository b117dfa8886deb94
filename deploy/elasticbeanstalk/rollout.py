"""What of a deploy loses requests, and where the balancer asks: nginx, and for readiness."""

import re
from collections.abc import Iterator
from pathlib import Path

from deploy.manifest import Finding, Process
from deploy.reading import Node, Place, read
from deploy.rules.budgets import seconds_of_a_request
from service.settings import Settings

Options = dict[tuple[str, str], Node]
PROCESS = "aws:elasticbeanstalk:environment:process:default"
NGINX = "80"  # where it listens
ANSWERS = 3  # seconds: /health/ready answers within 2, whatever is down
# Namespace, name, the values that lose nothing, and what Elastic Beanstalk takes if none is given.
KEEPS = (
    # Rolling takes the only instance away, of a stage that has one.
    (
        "aws:elasticbeanstalk:command",
        "DeploymentPolicy",
        ("RollingWithAdditionalBatch", "Immutable", "TrafficSplitting"),
        "AllAtOnce",
    ),
    ("aws:autoscaling:updatepolicy:rollingupdate", "RollingUpdateEnabled", ("true",), "false"),
    # By time, it does not ask whether the next ones are well.
    (
        "aws:autoscaling:updatepolicy:rollingupdate",
        "RollingUpdateType",
        ("Immutable", "Health"),
        "Time",
    ),
    (
        "aws:elasticbeanstalk:environment",
        "EnvironmentType",
        ("LoadBalanced", "LoadBalancing"),
        "LoadBalanced",
    ),
)


def number(options: Options, namespace: str, name: str) -> Node | None:
    """All values are text, the numbers too. Raises Failed for what is none."""
    found = options.get((namespace, name))
    return None if found is None else found.whole()


def look(stage: str, place: Place, options: Options, web: Process | None) -> Iterator[Finding]:
    for namespace, name, good, default in KEEPS:
        found = options.get((namespace, name))
        said = str(found.value) if found else default
        if said not in good:
            what = f"{name} of {stage} is {said}: requests are lost in between"
            yield Finding("release", found.place if found else place, what, f"{name}: {good[0]}")
    yield from _sizes(stage, options)
    if web is not None:
        yield from _delay(stage, place, options, web)
        yield from _port(stage, options, web)
    yield from _health(stage, options)


def _sizes(stage: str, options: Options) -> Iterator[Finding]:
    least = number(options, "aws:autoscaling:asg", "MinSize")
    most = number(options, "aws:autoscaling:asg", "MaxSize")
    if least and most and least.value > most.value:
        what = f"{stage} has at least {least.value} instances, and at most {most.value}"
        yield Finding("release", most.place, what, "MinSize is the lesser one")


def _delay(stage: str, place: Place, options: Options, web: Process) -> Iterator[Finding]:
    delay = number(options, PROCESS, "DeregistrationDelay")
    has, takes = delay.value if delay else 20, seconds_of_a_request(web)
    if has < takes:
        what = f"a request of {stage} may take {takes:g} s, and has {has} to end in"
        todo = f'DeregistrationDelay: "{takes + 10:g}"'
        yield Finding("release", delay.place if delay else place, what, todo)


def _port(stage: str, options: Options, web: Process) -> Iterator[Finding]:
    """nginx is on the way: it adds the address that PROXY_HOPS counts."""
    asked = number(options, PROCESS, "Port")
    given = web.variables.get("PORT")
    listens = given.value if given else str(Settings.model_fields["port"].default)
    if asked is not None and str(asked.value) != NGINX:
        past = str(asked.value) == listens
        why = "past nginx, so there is one proxy less" if past else "where nobody listens"
        what = f"requests of {stage} go to {asked.value}, {why}"
        yield Finding("port", asked.place, what, f'Port: "{NGINX}", where nginx listens')
    speaks = options.get((PROCESS, "Protocol"))
    if speaks is not None and speaks.value != "HTTP":
        what = f"requests of {stage} go to nginx with {speaks.value}, which it does not speak"
        yield Finding("port", speaks.place, what, "Protocol: HTTP")
    server = options.get(("aws:elasticbeanstalk:environment:proxy", "ProxyServer"))
    if server is not None and server.value != "nginx":
        what = f"{server.value} is in front of web of {stage}: times and hops are those of nginx"
        yield Finding("port", server.place, what, "ProxyServer: nginx")


def _health(stage: str, options: Options) -> Iterator[Finding]:
    well = options.get((PROCESS, "MatcherHTTPCode"))
    if well is not None and str(well.value) != "200":
        what = f"web of {stage} is taken as ready when it says {well.value}"
        yield Finding("health", well.place, what, 'MatcherHTTPCode: "200", what it says then')
    waits = number(options, PROCESS, "HealthCheckTimeout")
    if waits is not None and waits.value < ANSWERS:
        what = f"web of {stage} has {waits.value} s to answer, and may need 2"
        yield Finding("health", waits.place, what, f'HealthCheckTimeout: "{ANSWERS}" at least')


def goes_on(root: Path, hook: Place) -> Iterator[Finding]:
    """A hook that does not stop at what fails says 0, and the new version starts."""
    before = read(root, hook.file).splitlines()[: hook.line]
    if not any(re.match(r"set -[a-z]*e", line) for line in before):
        what = "the hook goes on when a command of it fails"
        yield Finding("migration", hook, what, "set -euo pipefail, before all commands")
    for number, line in enumerate(before, 1):
        if re.match(r"\s*set \+[a-z]*e", line):
            place = Place(hook.file, number)
            yield Finding("migration", place, "from here on it does", "leave out set +e")
