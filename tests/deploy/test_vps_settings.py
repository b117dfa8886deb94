"""deploy/servers.toml: what it may say, and what is said of each mistake."""

import re
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.servers import Fleet
from deploy.vps.settings import EXAMPLE, FILE, load
from service.environment import ROOT

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA000000000000000000000000000000000000000000 you"
ONE = f"""\
domain = "api.example.com"
tls = "self-signed"
keys = ["{KEY}"]

[servers.one]
address = "198.51.100.7"
roles = ["web", "worker", "database", "redis"]
"""
MORE = """
[servers.two]
address = "198.51.100.8"
private = "10.0.0.2"
roles = ["balancer", "web"]
"""


def written(folder: Path, text: str) -> Path:
    (folder / "deploy").mkdir(exist_ok=True)
    (folder / FILE).write_text(text)
    return folder


def loaded(folder: Path, text: str) -> Fleet:
    return load(written(folder, text))


def said(folder: Path, text: str) -> str:
    with pytest.raises(Failed) as caught:
        loaded(folder, text)
    return str(caught.value)


def test_one_server_is_all_there_is(tmp_path: Path) -> None:
    fleet = loaded(tmp_path, ONE)
    (server,) = fleet.servers
    assert fleet.front == fleet.database == fleet.redis == server
    assert (server.user, server.port, server.private) == ("root", 22, "198.51.100.7")
    assert fleet.document(server) == {
        "server": "one",
        "servers": 1,
        "names": ["one"],
        "roles": ["web", "worker", "database", "redis"],
        "domain": "api.example.com",
        "tls": "self-signed",
        "branch": "main",
        "repository": None,
        "keep": 5,
        "database": "one",
        "web_servers": ["one"],
        "behind_balancer": False,
        "backups": {"keep_days": 14, "copy_to": None},
    }


def test_of_several_the_balancer_stands_in_front(tmp_path: Path) -> None:
    one = ONE.replace('address = "198.51.100.7"', 'address = "198.51.100.7"\nprivate = "10.0.0.1"')
    fleet = loaded(tmp_path, one + MORE)
    assert [server.name for server in fleet.with_role("web")] == ["one", "two"]
    assert fleet.front.name == "two"
    assert fleet.document(fleet.servers[0])["behind_balancer"]


def test_a_balancer_that_is_the_only_web_is_none(tmp_path: Path) -> None:
    fleet = loaded(tmp_path, ONE.replace('["web",', '["balancer", "web",'))
    assert fleet.balancer is None
    assert fleet.front.name == "one"


def test_the_example_lacks_nothing_but_an_address(tmp_path: Path) -> None:
    text = (ROOT / EXAMPLE).read_text()
    assert said(tmp_path, text).endswith(
        "servers.one.address: is the example's: put in your server's"
    )
    loaded(tmp_path, text.replace("203.0.113.7", "198.51.100.7"))


def test_what_the_example_has_in_comments_is_allowed_too(tmp_path: Path) -> None:
    lines = (ROOT / EXAMPLE).read_text().replace("203.0.113.", "198.51.100.").splitlines()
    settings = [line.removeprefix("# ") for line in lines if re.match(r"(# )?(\w+ = |\[)", line)]
    first, several = settings.index("[servers.one]"), settings.index("[servers.front]")
    fleet = loaded(tmp_path, "\n".join(settings[:first] + settings[several:]))
    assert [server.name for server in fleet.servers] == ["front", "web1", "web2"]
    assert fleet.backups.copy_to == "backup@198.51.100.99:/srv/backups"


def test_a_file_that_is_not_there_is_to_be_copied(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=f"^{FILE} is not there: cp {EXAMPLE} {FILE}, and put"):
        load(tmp_path)


TWO = "[servers.two]\naddress = {}\nprivate = '10.0.0.2'\nroles = {}\n"
WRONG = {
    "tls": ('"self-signed"', '"acme"', "2: tls: is 'acme', where 'letsencrypt', 'self-signed' or"),
    "unknown": ("[servers.one]", "foo = 1\n[servers.one]", ":5: foo: is no setting: deploy/serv"),
    "role": ('"worker"', '"cook"', "7: servers.one.roles[1]: is 'cook', where 'web', 'worker'"),
    "no roles": ('["web", "worker", "database", "redis"]', "[]", "7: servers.one.roles: is empty"),
    "no web": ('"web", ', "", ":5: servers: none has the role web"),
    "no worker": ('"worker", ', "", ":5: servers: none has the role worker"),
    "twice": ('"worker", ', '"worker", "worker", ', "7: servers.one.roles: has one twice"),
    "number": ('"198.51.100.7"', "7", ":6: servers.one.address: is to be text"),
    "host": ('"198.51.100.7"', '"root@x"', ":6: servers.one.address: is 'root@x': no host's"),
    "port": ("roles =", "port = 0\nroles =", ":7: servers.one.port: is 0, where at least 1"),
    "user": ("roles =", "user = '-x'\nroles =", ":7: servers.one.user: is '-x': no user's name"),
    "name": ("servers.one", "servers.One", ":5: servers.One: a name has small letters"),
    "no address": ('address = "198.51.100.7"\n', "", ":5: servers.one.address: is needed"),
    "no keys": (f'keys = ["{KEY}"]', "", "servers.toml: keys: is needed"),
    "no list": (f'["{KEY}"]', '"x"', ":3: keys: is to be a list"),
    "domain": ("api.example.com", "https://a", ":1: domain: is 'https://a': no host's name"),
    "email": ("self-signed", "letsencrypt", "servers.toml: email: is needed by Let's Encrypt"),
    "public": (
        'api.example.com"\ntls = "self-signed"',
        'localhost"\ntls = "letsencrypt"',
        ":1: domain: is 'localhost', where Let's Encrypt wants a public name",
    ),
    "branch": ("[servers.one]", "branch='-x'\n[servers.one]", ":5: branch: is '-x': no branch's"),
    "keep": ("[servers.one]", "keep = 1\n[servers.one]", ":5: keep: is 1, where at least 2"),
    "repository": ("[servers.one]", "repository='x'\n[servers.one]", ":5: repository: is to begin"),
    "at": ("[servers.one]", "[backups]\nat='3'\n[servers.one]", ":6: backups.at: is '3': HH:MM"),
    "prometheus": (
        "[servers.one]",
        "[monitoring]\nprometheus = ['10.0.0.9', 'watcher']\n[servers.one]",
        ":6: monitoring.prometheus[1]: is 'watcher': an address is needed",
    ),
    "to": ("[servers.one]", "[backups]\ncopy_to='x'\n[servers.one]", ":6: backups.copy_to: is to"),
    "same": ("[servers.one]", TWO.format("'198.51.100.7'", "['worker']") + "[servers.one]", "too"),
    "same private": (
        "[servers.one]",
        TWO.format("'198.51.100.8'", "['worker']") + "[servers.one]\nprivate = '10.0.0.2'",
        ":10: servers.one.private: 10.0.0.2 is another server's too, by which",
    ),
    "a private that is an address": (
        "[servers.one]",
        TWO.format("'198.51.100.8'", "['worker']").replace("10.0.0.2", "198.51.100.7")
        + "[servers.one]",
        ":9: servers.one.private: 198.51.100.7 is another server's too",
    ),
    "too many webs": (
        "[servers.one]",
        "".join(
            f"[servers.web{number}]\naddress = '10.0.0.{number}'\nroles = ['web']\n"
            for number in range(6)
        )
        + "[servers.front]\naddress = '10.0.0.9'\nroles = ['balancer']\n[servers.one]",
        "servers.one.roles: 7 have the role web, and the balancer takes 6: have fewer",
    ),
    "no tables": (ONE.partition("[servers")[1] + ONE.partition("[servers")[2], "servers = 1", "be"),
    "two webs": (
        "[servers.one]",
        TWO.format("'198.51.100.8'", "['web']") + "[servers.one]",
        "servers: 2 have the role web: one needs the role balancer",
    ),
    "two databases": (
        "[servers.one]",
        TWO.format("'198.51.100.8'", "['database']") + "[servers.one]",
        "servers.one.roles: database is another server's: one has it",
    ),
    "no network of their own": (
        'address = "198.51.100.7"',
        'address = "8.8.8.8"\nroles = ["redis"]\n[servers.two]\naddress = "10.0.0.1"',
        "servers.one.private: is needed where there are several",
    ),
    "syntax": ("tls =", "tls", ":2: does not parse: "),
    "empty": (ONE, "", ":1: is empty"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_said_with_its_line_and_what_is_allowed(tmp_path: Path, what: str) -> None:
    old, new, expected = WRONG[what]
    assert old in ONE
    assert expected in said(tmp_path, ONE.replace(old, new))


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    found = said(tmp_path, ONE.replace("self-signed", "x").replace("roles", "rolls"))
    assert [line.split(": ")[1] for line in found.splitlines()] == [
        "tls",
        "servers.one.roles",
        "servers.one.rolls",
    ]


def test_a_key_may_be_a_file_of_it(tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text(KEY + "\n")
    fleet = loaded(tmp_path, ONE.replace(KEY, str(tmp_path / "id.pub"))).with_keys()
    assert fleet.keys == (KEY,)


NOT_WHOLE = "is not whole, or not of the kind that it names: copy it again"
KEYS = {
    "not there": ("/nowhere.pub", "keys[0]: /nowhere.pub cannot be read: No such file"),
    "cut short": ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ you", f"keys[0]: {NOT_WHOLE}"),
    "cut between fields": ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB", f"keys[0]: {NOT_WHOLE}"),
    "cut where it decodes": (KEY.replace("0" * 20, ""), f"keys[0]: {NOT_WHOLE}"),
    "of another kind": (KEY.replace("ssh-ed25519", "ssh-rsa"), f"keys[0]: {NOT_WHOLE}"),
    "no key": ("ssh", "keys[0]: is no public key, nor a file (~/…, /…) that holds one"),
    "of CI too": (f'{KEY}"]\nci_keys = ["{KEY}-and-ci', "is one of keys too: CI needs its own"),
    "twice": (
        f'{KEY}", "{KEY}-again',
        "keys: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA00… is there twi",
    ),
}


@pytest.mark.parametrize("what", KEYS)
def test_a_key_that_is_none_is_refused(tmp_path: Path, what: str) -> None:
    given, expected = KEYS[what]
    with pytest.raises(Failed) as caught:
        loaded(tmp_path, ONE.replace(KEY, given)).with_keys()
    assert expected in str(caught.value)


def test_a_private_key_is_refused_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n")
    fleet = loaded(tmp_path, ONE.replace(KEY, str(tmp_path / "id")))
    with pytest.raises(Failed, match=r"is a private key: the public one ends in \.pub"):
        fleet.with_keys()
