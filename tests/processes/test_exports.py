"""The sample's export: as much memory for many posts as for few."""

import json
import subprocess
import sys
from pathlib import Path

from service.devservers import Postgres, Redis
from service.environment import ROOT
from tests.children import surroundings
from tests.serving import own_database, variables

EXPORT = """
import json, resource, sys
from uuid import uuid4
from service.app import create_app
from service.db import session
from service.posts.jobs import ask_for_export
from service.storage import LocalFiles
from service.users.models import User
from sqlalchemy import text
from tests.working import work, job

app = create_app()
app.extensions["files"] = LocalFiles(__import__("pathlib").Path(sys.argv[1]))
def peak(count):
    with app.app_context():
        user = User(email=f"{uuid4()}@example.com", password_hash="")
        session.add(user)
        session.flush()
        session.execute(text(
            "INSERT INTO posts (id, author_id, title, body)"
            " SELECT gen_random_uuid(), :user, 'A title', repeat('Lorem ipsum ', 20)"
            " FROM generate_series(1, :count)"
        ), {"user": user.id, "count": count})
        id = ask_for_export(user.id)
        session.commit()
    work(app)
    assert job(app, id).status == "succeeded", job(app, id).error
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([peak(2_000), peak(100_000)]))
"""


def test_memory_is_flat_for_a_hundred_thousand_posts(
    postgres: Postgres, redis_server: Redis, tmp_path: Path
) -> None:
    url = own_database(postgres)
    env = {**surroundings(), **variables(url, redis_server.url), "LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-c", EXPORT, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    small, large = json.loads(ended.stdout)
    assert large < small * 1.1
    (file,) = [f for f in tmp_path.rglob("*.csv") if f.stat().st_size > 20_000_000]
    assert file.read_bytes().count(b"A title") == 100_000
