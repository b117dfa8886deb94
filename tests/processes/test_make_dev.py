"""`make dev` on a copy of the repository, twice: as somebody does who has just cloned it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psycopg

from tests.ports import free_port
from tests.test_dev import ROOT, Running, assert_gone, running

DEMO = {"users": 3}  # rows that it writes, once
# sample
DEMO["posts"] = 60
# end of sample


def test_make_dev_answers_twice_and_leaves_nothing_but_its_data(tmp_path: Path) -> None:
    clone, port = tmp_path / "clone", free_port()
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".*"))
    ours = ("DATABASE_URL", "REDIS_URL", "JWT_SECRET", "APP_ENV", "DATABASE_REPLICA_URL")
    env = {name: value for name, value in os.environ.items() if name not in ours}
    secret = ""
    for attempt in ("first", "second"):
        if attempt == "second":  # a plain copy, whose placeholders are nothing
            shutil.copy(ROOT / ".env.example", clone / ".env")
        began = time.monotonic()
        command = [sys.executable, "-m", "service", "dev"]
        with running(command, {**env, "PORT": str(port)}, cwd=clone) as dev:
            wait_for_200(dev, f"http://127.0.0.1:{port}/health/live")
            print(f"{attempt} start: {time.monotonic() - began:.2f} s to the first 200")
            dev.wait_for("Ctrl-C stops all of it")
            assert demo_data(dev) == DEMO
            beside = subprocess.run(
                [*command, "jobs", "list"], cwd=clone, env=env, text=True, capture_output=True
            )
            assert (beside.returncode, beside.stderr) == (0, "")
            assert "No job waits or has failed" in beside.stdout
            if attempt == "second":
                survive_broken_code(dev, clone / "service" / "users" / "jobs.py", port)
            family = dev.family()
            dev.process.send_signal(signal.SIGINT)
            assert dev.end() == 0, dev.lines
        assert_gone(family)
        assert secret in ("", (clone / ".dev" / "jwt-secret").read_text())
        secret = (clone / ".dev" / "jwt-secret").read_text()


def survive_broken_code(dev: Running, path: Path, port: int) -> None:
    """Code that cannot be imported ends nobody, whatever is wrong with it."""
    code = path.read_text()
    path.write_text(code + "\n@job(cron='every minute')\ndef broken() -> None: ...\n")
    for name in ("worker", "scheduler"):
        dev.wait_for(f"{name} exited with 1: it is started again when the code has changed")
    dev.wait_for("the code cannot be imported: the next change is waited for")
    path.write_text(code)
    for name in ("worker", "scheduler"):
        dev.wait_for(f"{name} started", times=2)
    wait_for_200(dev, f"http://127.0.0.1:{port}/health/live")


def demo_data(dev: Running) -> dict[str, int]:
    """How many rows there are, by the URL that was announced."""
    (url,) = re.findall(r"(postgresql://\S+)", "\n".join(dev.lines))
    with psycopg.connect(url) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in DEMO]
    return {table: count[0] for table, count in zip(DEMO, counts, strict=True) if count}


def wait_for_200(dev: Running, url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert dev.process.poll() is None, dev.lines
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(dev.lines)
