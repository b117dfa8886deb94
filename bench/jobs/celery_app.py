"""celery as its quick start has it: prefork, and no results, which nobody would read."""

import os

from celery import Celery

from bench.jobs.noop import noop

app = Celery("bench", broker=os.environ["REDIS_URL"])
app.conf.task_ignore_result = True
task = app.task(noop, name="noop")
