"""The production checklist: `python -m deploy readiness --target TARGET`.

Add an item: a function of the subject that returns an answer, its promise as its docstring, and its
name in ITEMS.
"""

from collections.abc import Callable, Mapping

from deploy.readiness import live, manifests, operations, repository, traffic, variables
from deploy.readiness.answers import Answer
from deploy.readiness.subject import Subject

Item = Callable[[Subject], Answer]

ITEMS: Mapping[str, tuple[Item, ...]] = {
    "What runs": (
        manifests.manifests,
        manifests.processes,
        manifests.instances,
        manifests.schema_first,
        traffic.health_checks,
        traffic.graceful_stop,
        traffic.connections,
    ),
    "Who asks": (
        live.https,
        live.domain,
        traffic.proxy_hops,
        variables.rate_limits,
        live.answers,
        live.version,
    ),
    "Secrets": (
        variables.secrets,
        variables.metrics_token,
        live.demo_accounts,
        repository.security_contact,
    ),
    "Watching": (
        variables.logs,
        variables.error_reports,
        operations.alerts,
        variables.mail,
    ),
    "Going back": (
        operations.backups,
        operations.restore,
        operations.rollback,
        repository.migrations,
    ),
    "Yours": (
        repository.locked_dependencies,
        repository.sample_removed,
        repository.name_changed,
    ),
}


def name(item: Item) -> str:
    """As people read it."""
    return item.__name__.replace("_", " ")


def promise(item: Item) -> str:
    """What holds when it passes."""
    assert item.__doc__ is not None
    return item.__doc__.splitlines()[0]
