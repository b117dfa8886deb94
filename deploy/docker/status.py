"""What serves, what is kept, and who released what: read only, while a release runs too."""

from deploy.docker import edge, host
from deploy.docker.lock import LOG, holder
from deploy.docker.stack import COLOURS, Image, Stack
from deploy.history import entries
from deploy.shell import Failed, run, succeeds


def status(stack: Stack) -> None:
    """Print it. Raises Failed if nothing serves."""
    host.check_tools()
    print(f"project {stack.project}")
    if not succeeds(["docker", "volume", "inspect", stack.volume]):
        raise Failed(
            "nothing serves under this name (COMPOSE_PROJECT_NAME) on this host (DOCKER_HOST):"
            " python -m deploy docker release IMAGE"
        )
    now = edge.parse(run(stack.look(edge.LOOK)))
    images = host.images(stack)
    for colour in COLOURS:
        _line(stack, colour, f"web-{colour}", _mark(stack, colour, now), images.get(colour))
    for service in ("worker", "scheduler"):
        _line(stack, service, service, "", host.image(stack, service, images))
    for line in entries(run(stack.look(f"test ! -e {LOG} || tail -n 40 {LOG}"))):
        print("{at}  {what:8} {colour:6} {image}  {who}  {seconds} s  {result}".format(**line))
    if holds := holder(stack):
        print(f"a release runs: {holds}")
    if now is None:
        raise Failed("nothing serves yet: python -m deploy docker release IMAGE")
    if edge.container(stack) is None:
        raise Failed("nginx does not run: its last words are in docker compose logs nginx")
    if not any(map(host.is_well, host.states(stack, f"web-{now.colour}"))):
        raise Failed(f"nothing serves: web-{now.colour} is not well")


def what_serves(stack: Stack) -> str:
    """For who was told of a failure."""
    try:
        now = edge.parse(run(stack.look(edge.LOOK)))  # the lock may be lost
        if now is None:
            return "Nothing serves yet."
        if edge.container(stack) is None:
            return "nginx does not run, so nothing serves."
        image = host.images(stack).get(now.colour)
        return f"{image.name if image else 'nothing'} serves, as {now.colour}."
    except Failed as failure:
        return f"What serves could not be asked: {failure}"


def _mark(stack: Stack, colour: str, now: edge.Configuration | None) -> str:
    if now and now.colour == colour:
        return "serves"
    states = host.states(stack, f"web-{colour}")
    if any(state.startswith("running") for state in states):
        return "unused"  # of a release that was broken off
    return "kept" if edge.is_kept(stack, colour) else "-"


def _line(stack: Stack, name: str, service: str, mark: str, image: Image | None) -> None:
    states = ", ".join(host.states(stack, service)) or "not there"
    about = f"{image.name}  {image.version}  " if image else ""
    print(f"{name:10} {mark:7} {about}{states}")
