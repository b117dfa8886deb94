"""What .railway/railway.py may look like, and what is refused before Railway's CLI would."""

import re
import shutil
from pathlib import Path

import pytest

from deploy.check import check
from deploy.railway.manifest import read_manifest
from deploy.railway.project import FILE, read_project
from deploy.reading import Place
from deploy.rules import traffic
from deploy.shell import Failed
from service.environment import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / FILE).parent.mkdir()
    return tmp_path


def written(root: Path, before: str = "", returned: str = "[web, cache]") -> Path:
    """A small project, with some lines of its own before what `main` returns."""
    (root / FILE).write_text(
        "from railway_sdk import group, project, redis, service\n"
        "def main(ctx):\n"
        "    cache = redis('redis')\n"
        "    web = service('web', start='python -m service web', env={\n"
        "        'REDIS_URL': cache.env.REDIS_URL,\n"
        "    })\n"
        f"{before}"
        f"    return project('slipway', resources={returned})\n"
    )
    return root


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: is empty"),
        ("x = 1\nmain = (\n", ":2: does not parse: '(' was never closed"),
        ("x = 1\0", ":1: does not parse: source code string cannot contain null bytes"),
        ("x = 1\n1 / 0\n", ":2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", ":2: SystemExit: 3"),
        ("import os\nos._exit(0)\n", ":1: ends the process that evaluates it"),
        ("import os\nos.abort()\n", ":1: ends the process that evaluates it"),
        ("x = 1\n", ":1: it has no `main` that returns project(…)"),
        ("def main(ctx):\n    return {}\n", ":1: it has no `main` that returns project(…)"),
        ("def main(a, b):\n    pass\n", ":1: TypeError: main() missing 1 required positional"),
        ("\nprint('hello')\n", ":2: it prints, and Railway's CLI cannot read what it returns"),
        ("import socket\nsocket.socket()\n", ":2: it does socket.__new__, and is to describe only"),
        ("import os\nos.system('true')\n", ":2: it does os.system, and is to describe only"),
        ("import subprocess\nsubprocess.run(['true'])\n", ":2: it does subprocess.Popen"),
        ("open('railway.lock', 'w')\n", ":1: it writes to railway.lock, and is to describe only"),
        (
            "import sys\nsys.modules['railway_sdk'] = None\nfrom railway_sdk import project\n",
            ":3: ModuleNotFoundError: import of railway_sdk halted; None in sys.modules:"
            " `make setup` installs it",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_said_with_its_line(root: Path, text: str, said: str) -> None:
    (root / FILE).write_text(text)
    with pytest.raises(Failed, match=f"^{re.escape(FILE + said)}"):
        read_manifest(root)
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["railway.py"]


def test_a_file_that_does_not_come_to_an_end_is_not_waited_for(root: Path) -> None:
    (root / FILE).write_text("while True:\n    pass\n")
    with pytest.raises(Failed, match=f"^{re.escape(FILE)}:1: is not evaluated within 0.5 s"):
        read_manifest(root, patience=0.5)


def test_our_variables_and_modules_are_not_there(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET", "ours")
    (root / "secrets.py").write_text("1 / 0")  # shadows one of the standard library
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", str(root))
    written(root, "    import os, secrets\n    assert 'JWT_SECRET' not in os.environ\n")
    assert len(read_manifest(root).stages) == 2


@pytest.mark.parametrize(
    ("before", "returned", "said"),
    [
        ("", "[web]", ":5: REDIS_URL is of database.redis, which is no resource"),
        ("", "[web, cache, web]", ":4: service.web is there twice"),
        (
            "    more = [cache] if ctx.environment == 'staging' else []\n",
            "[service('web'), *more]",
            ":2: database.redis is in staging, and not in all environments",
        ),
        ("    cache = service('cache', env={'PORT': 1})\n", "[cache]", ":7: PORT is no text"),
    ],
)
def test_what_the_cli_refuses_is_refused_here(
    root: Path, before: str, returned: str, said: str
) -> None:
    assert len(read_manifest(written(root)).stages) == 2  # as it is, nothing is refused
    written(root, before, returned)
    with pytest.raises(Failed, match=f"^{re.escape(FILE + said)}"):
        read_manifest(root)


def test_what_main_is_may_be_called_and_hold_otherwise(root: Path) -> None:
    (root / FILE).write_text(
        "from railway_sdk import group, project, service\n"
        "def Railway():\n"
        "    return project('slipway', resources=[group('web', [service('web')])])\n"
    )
    for stage in read_manifest(root).stages:
        assert stage.processes.keys() == {"web"}


def test_a_line_is_found_through_names_spreads_and_functions(root: Path) -> None:
    (root / FILE).write_text(
        "from railway_sdk import project, service\n"
        "ROBUST = {'drainingSeconds': 60}\n"
        "def env(stage):\n"
        "    return {'APP_ENV': stage}\n"
        "def main(ctx):\n"
        "    other = service('other', healthcheck='/', env={'PORT': '1'})\n"
        "    known: dict = {'PORT': '8080'}\n"
        "    known = {**env(ctx.environment), **known, 'PROXY_HOPS': '2'}\n"
        "    web = service('web', deploy=ROBUST | {'overlapSeconds': 20}, env=known | {\n"
        "        'PORT': '8081',\n"
        "        'WEB_THREADS': other.env.PORT,\n"
        "    })\n"
        "    return project('slipway', resources=[web, other])\n"
    )
    web = read_manifest(root).stages[0].processes["web"]
    assert web.grace
    assert web.grace.place == Place(FILE, 2)
    lines = {name: each.place.line for name, each in web.variables.items()}
    assert lines == {"APP_ENV": 4, "PORT": 10, "PROXY_HOPS": 8, "WEB_THREADS": 11}
    assert web.place == Place(FILE, 9)


def test_each_kind_of_variable_is_what_it_is(root: Path) -> None:
    written(
        root,
        "    from railway_sdk import preserve\n"
        "    web = service('web', env={\n"
        "        'A': 'text', 'B': 'http://${{web.HOST}}', 'C': preserve(), 'D': ctx.shared.D,\n"
        "        'E': cache.env['REDIS_URL'], 'F': {'value': 'text'},\n"
        "        'G': {'generator': 'secret(32)'},\n"
        "    })\n",
    )
    found = read_manifest(root).stages[0].processes["web"].variables
    assert {name: (each.value, each.made) for name, each in found.items()} == {
        "A": ("text", False),
        "B": (None, False),
        "C": (None, False),
        "D": (None, False),
        "E": (None, False),
        "F": ("text", False),
        "G": (None, True),
    }


def test_the_sdk_sends_a_domain_to_8080_whatever_web_listens_at(root: Path) -> None:
    web = "    web = service('web', domains=['api.example.com'], env={'PORT': '8000'})\n"
    (finding, _) = traffic.port(read_manifest(written(root, web)))
    assert finding.what == "requests of production go to 8080, web listens at 8000"
    assert finding.place == Place(FILE, 7)


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ('"drainingSeconds": 60,', '"drainingSeconds": "60",'),
        ('"overlapSeconds": 20', '"overlapSeconds": "20"'),
        ("database.env.DATABASE_URL", '"${{postgres.DATABASE_URL}}"'),
        ("ctx.shared.JWT_SECRET", '"${{ shared.JWT_SECRET }}"'),
        ('"SMOKE_TOKEN":', '"MAIL_FROM": "api@${{RAILWAY_PUBLIC_DOMAIN}}", "SMOKE_TOKEN":'),
        ("replicas=2 if production else None,", 'replicas={"us-west2": 2},'),
        ("replicas=2 if", 'domains=["api.example.com"], replicas=2 if'),
    ],
)
def test_another_form_of_the_same_is_clean(root: Path, there: str, instead: str) -> None:
    text = (ROOT / FILE).read_text()
    assert there in text
    (root / FILE).write_text(text.replace(there, instead, 1))
    shutil.copy(ROOT / "Dockerfile", root)
    shutil.copy(ROOT / "requirements.txt", root)
    table = check(root, "railway", None)
    assert {rule: each for rule, each in table.items() if each and each != "skipped"} == {}


def test_no_reference_of_one_environment_is_one_of_another() -> None:
    production, staging = (
        {v.refers for p in stage.processes.values() for v in p.variables.values() if v.refers}
        for stage in read_manifest(ROOT).stages
    )
    assert production
    assert production.isdisjoint(staging)


def test_each_stage_is_what_its_environment_has() -> None:
    production, staging = read_manifest(ROOT).stages
    assert (production.name, staging.name) == ("production", "staging")
    assert production.processes.keys() == staging.processes.keys()
    assert production.processes["web"].instances
    assert production.processes["web"].instances.value == 2
    assert staging.processes["web"].instances is None
    for stage in (production, staging):
        assert stage.processes["web"].variables["APP_ENV"].value == stage.name
        holders = {
            kind for kind, each in stage.processes.items() if "SMOKE_TOKEN" in each.variables
        }
        assert holders == {"web", "migrate"}  # migrate runs with what web has


def test_an_environment_that_is_not_named_is_not_taken_for_staging() -> None:
    """As an old CLI would have it, which tells the file nothing."""
    with pytest.raises(Failed, match=rf"^{re.escape(FILE)}:\d+: ValueError: this Railway CLI"):
        read_project(ROOT, [""])
    assert read_project(ROOT, ["review-12"]).environments.keys() == {"review-12"}


def test_the_dockerfile_is_one_that_railway_builds() -> None:
    """It refuses a mounted cache without the id of one service, any other mount, and VOLUME."""
    text = (ROOT / "Dockerfile").read_text()
    assert "--mount" not in text
    assert not re.search(r"^VOLUME\b", text, re.M)


def test_the_page_names_what_must_be_put_in() -> None:
    page = (ROOT / "deploy" / "railway" / "README.md").read_text()
    described = (ROOT / FILE).read_text()
    for word in ("OWNER/REPOSITORY", *re.findall(r"ctx\.shared\.(\w+)", described)):
        assert word in page
