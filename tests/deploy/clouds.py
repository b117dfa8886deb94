"""Stand-ins of the platforms' CLIs, and of the service that they deploy.

A program writes down how it is called, and answers by its target's table: the first row whose
pattern is found in the call, and in the files that it names, says what is printed, and which
version serves from then on. What no row knows is an error.
"""

import json
import re
import shlex
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from deploy.smoke import HEADERS

NEW, OLD, OLDER = "1" * 40, "2" * 40, "3" * 40  # commits
IMAGE = "registry.example.com/team/slipway"


class Row(NamedTuple):
    """What a call that has this pattern in it does."""

    pattern: str
    out: Any = ""
    serves: str = ""  # a version; \\1 is the pattern's first group
    then: Any = None  # printed from the second time on: only then it serves
    after: str = ""  # a call that has come before, or this row is none


PROGRAM = """\
#!{python} -ISE
import json, os, re, sys
folder = {folder!r}
words = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
if words[0] == "python":
    words[0] = ".venv/bin/python"
if words[0] == "git" and "https://" not in " ".join(words):  # what only looks here is real
    os.execv({git!r}, words)
call = " ".join(words)
given = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
with open(folder + "/calls", "a+") as log:
    log.seek(0)
    before = [" ".join(json.loads(line)[0]) for line in log]
    log.write(json.dumps([words, given]) + "\\n")
if os.path.exists(folder + "/fails") and re.search(open(folder + "/fails").read(), call):
    sys.exit("the stand-in was told to fail: " + call)
text = "\\n".join([call, *(open(w).read() for w in words[1:] if os.path.isfile(w))])
for pattern, out, serves, then, after in json.load(open(folder + "/rows")):
    found = re.search(pattern, text, re.S | re.M)
    if found and (not after or any(re.search(after, each) for each in before)):
        early = then is not None and before[-1:] != [call]
        out = out if then is None or early else then
        if serves and not early:
            with open(folder + "/serves", "w") as file:
                file.write(found.expand(serves))
        said = found.expand(out) if isinstance(out, str) else json.dumps(out)
        sys.stdout.write(said and said + chr(10))
        sys.exit(0)
sys.exit("the stand-in knows no answer to " + call)
"""


class Cloud:
    """A platform that serves a version, by the programs in `bin`."""

    def __init__(self, folder: Path, programs: tuple[str, ...], rows: tuple[Row, ...]) -> None:
        self.folder, self.bin = folder, folder / "bin"
        self.bin.mkdir(parents=True)
        real = {"python": sys.executable, "git": shutil.which("git")}
        for name in programs:
            program = self.bin / name
            program.write_text(PROGRAM.format(**real, folder=str(folder)))
            program.chmod(0o755)
        (folder / "rows").write_text(json.dumps(rows))
        (folder / "calls").write_text("")
        (folder / "serves").write_text(OLD)
        self.bad: set[str] = set()  # versions that never get ready

    @property
    def serves(self) -> str:
        return (self.folder / "serves").read_text()

    def calls(self) -> list[str]:
        """Each as a line, as somebody would type it; folders of one call are FOLDER."""
        lines = (self.folder / "calls").read_text().splitlines()
        typed = [shlex.join(json.loads(line)[0]) for line in lines]
        return [re.sub(r"/[^ ]*/deploy-\w+/", "FOLDER/", line) for line in typed]

    def given(self) -> str:
        """All that came on standard input."""
        lines = (self.folder / "calls").read_text().splitlines()
        return "".join(json.loads(line)[1] for line in lines)

    def forget(self) -> None:
        (self.folder / "calls").write_text("")

    def answer(self, *rows: Row) -> None:
        """What is said last goes first."""
        known = json.loads((self.folder / "rows").read_text())
        (self.folder / "rows").write_text(json.dumps([*rows, *known]))

    def fail(self, pattern: str) -> None:
        """Calls that have it end with 1."""
        (self.folder / "fails").write_text(pattern)


@contextmanager
def served(cloud: Cloud) -> Iterator[str]:
    """The URL of a service of the version that the cloud serves: all that the smoke test asks."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            status, body, headers = answer(self.command, self.path, cloud)
            sent = json.dumps(body | {"request_id": "r"}).encode()
            kind = "application/problem+json" if status in (400, 401, 404, 405) else None
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind or "application/json")
            self.send_header("X-Request-ID", self.headers.get("X-Request-ID") or "r")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(sent)

        do_HEAD = do_POST = do_PUT = do_OPTIONS = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def answer(method: str, path: str, cloud: Cloud) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    if path == "/health/ready":
        ready = cloud.serves not in cloud.bad
        return (200, {"status": "ready"}, {}) if ready else (503, {"status": "starting"}, {})
    if path == "/health":
        return 200, {"status": "healthy", "version": cloud.serves, "checks": {}}, {}
    if path == "/openapi.json":
        return 200, {"paths": {"/": {}}}, HEADERS
    if path == "/api/users/me":
        return 405 if method == "PUT" else 401, {}, {"RateLimit-Limit": "100"}
    if path.startswith("/?"):
        return 200, {"name": "slipway"}, {}
    return {"/api/users": 400}.get(path, 404), {}, {}
