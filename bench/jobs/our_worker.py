"""Our worker, which knows the benchmark's job."""

import sys

import bench.jobs.noop  # noqa: F401
from service.__main__ import main

sys.exit(main(["worker"]))
