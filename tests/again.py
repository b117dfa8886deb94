"""A plugin of pytest: a second try for the few tests that failed. PYTEST_PLUGINS=tests.again

For `.ci/run`, whose machine is not its own: a process that got no time for a second has failed a
promise, and no defect is behind it. What is one fails both times, or in more files than a few.
Both are shown, and what passed at the second try only is named.
"""

import os
import subprocess
import sys
from collections.abc import Generator

import pytest

FEW = 3  # files
NOT_OURS = ("PYTEST_", "COV")  # of the first try, in the environment
_failed: dict[str, None] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        _failed[report.nodeid] = None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """After the summary: try again, in a pytest of their own, without coverage and in one process.

    An error that is no test's is left alone, and so are the processes of pytest-xdist.
    """
    yield
    few = 0 < len({name.partition("::")[0] for name in _failed}) <= FEW
    ended = session.exitstatus
    if ended != pytest.ExitCode.TESTS_FAILED or not few or hasattr(session.config, "workerinput"):
        return
    print("", "tried again:", *_failed, sep="\n", flush=True)
    plain = {name: text for name, text in os.environ.items() if not name.startswith(NOT_OURS)}
    if subprocess.run([sys.executable, "-m", "pytest", *_failed], env=plain).returncode == 0:
        print("PASSED AT THE SECOND TRY ONLY:", *_failed, sep="\n", flush=True)
        session.exitstatus = pytest.ExitCode.OK
