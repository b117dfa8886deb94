"""What holds for each manifest: the settings class is the source, and the platform has its own.

Add a rule: a function that yields a Finding for what is wrong, and its name in RULES.
"""

from collections.abc import Callable, Iterator

from deploy.manifest import Finding, Manifest
from deploy.rules.budgets import connections, time
from deploy.rules.commands import processes
from deploy.rules.releases import deprecated, migration, python, release
from deploy.rules.traffic import health, port, proxies
from deploy.rules.variables import references, variables

RULES: dict[str, Callable[[Manifest], Iterator[Finding]]] = {
    rule.__name__: rule
    for rule in (
        variables,
        processes,
        references,
        release,
        health,
        port,
        migration,
        time,
        proxies,
        connections,
        python,
        deprecated,
    )
}
