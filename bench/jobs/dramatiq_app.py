"""dramatiq as its guide has it, with its eight threads a process."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.jobs.noop import noop

dramatiq.set_broker(RedisBroker(url=os.environ["REDIS_URL"]))
task = dramatiq.actor(noop)
