"""What a runner of CI has, in place of the real one: a clone, programs, and a home of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from service.environment import ROOT
from tests.deploy.clouds import Cloud
from tests.deploy.platforms.builds import tracked

DIGEST = f"sha256:{'d' * 64}"
# Our own Python is real, but for what reaches a host, or packs a bundle that has placeholders.
PYTHON = """\
#!/bin/sh
case "$*" in
"-m deploy docker "* | "-m deploy vps "* | "-m deploy bundle "*) exec "$CLOUD/python" "$@" ;;
esac
exec {python} "$@"
"""
BUILDER = """\
#!/bin/sh
echo "docker $*" >>{folder}/called
cat >>{folder}/given
while [ $# -gt 0 ]; do
    [ "$1" = --metadata-file ] && printf '{{\\n  "containerimage.digest": "{digest}"\\n}}\\n' >"$2"
    shift
done
exit 0
"""
PLAIN = '#!/bin/sh\necho "{name} $*" >>{folder}/called\n'


class Machine:
    """Shared by all jobs, which on real runners have one each: they may not tell the difference."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clone, self.bin = folder, folder / "clone", folder / "bin"
        self.bin.mkdir(parents=True)
        (folder / "called").write_text("")
        (folder / "given").write_text("")
        self._write("python3", f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
        self._write("docker", BUILDER.format(folder=folder, digest=DIGEST))
        for name in ("apk", "apt-get", "cosign", "sudo"):
            self._write(name, PLAIN.format(name=name, folder=folder))
        tracked(self.clone)
        for name in ("servers.toml", "servers.staging.toml"):
            shutil.copy(ROOT / "deploy/servers.example.toml", self.clone / "deploy" / name)
        commit(self.clone)
        venv = self.clone / ".venv" / "bin"
        venv.mkdir(parents=True)
        (venv / "python").write_text(PYTHON.format(python=sys.executable))
        (venv / "python").chmod(0o755)
        (self.clone / ".venv" / ".stamp").write_text("")  # what `make setup` looks for
        self.sha = subprocess.check_output(
            ["git", "rev-parse", "HEAD"], cwd=self.clone, text=True
        ).strip()

    def _write(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def called(self, cloud: Cloud | None) -> int:
        """How many calls the stand-ins have had."""
        lines = (self.folder / "called").read_text().count("\n")
        return lines + (len(cloud.calls()) if cloud else 0)

    def run_in_a_copy(self, text: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Of a step that changes the repository."""
        kept, self.clone = self.clone, self.folder / "copy"
        try:
            shutil.copytree(kept, self.clone)
            return self.run(text, "bash", env, None)
        finally:
            shutil.rmtree(self.clone, ignore_errors=True)
            self.clone = kept

    def run(
        self, text: str, shell: str, env: Mapping[str, str], cloud: Cloud | None
    ) -> subprocess.CompletedProcess[str]:
        """A step's text, as a runner has it executed: `shell: bash` of GitHub."""
        assert shell == "bash"
        script = self.folder / "step.sh"
        script.write_text(text)
        first = [str(cloud.bin)] if cloud else []
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        around = {
            "PATH": ":".join([*first, str(self.bin), "/usr/bin", "/bin"]),
            "HOME": str(home),
            "CLOUD": first[0] if first else "/nonexistent",
            "DEPLOY_WAIT": "0.2",  # nothing has to start here
        }
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.clone,
            env={**env, **around},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @contextmanager
    def not_set_up(self) -> Iterator[None]:
        """Before `make setup`, as every runner begins."""
        made = self.clone / ".venv"
        made.rename(self.folder / "venv")
        yield
        assert not made.exists(), "it has been set up"
        (self.folder / "venv").rename(made)

    def forget(self) -> None:
        """The log of promotions, which a new runner does not have."""
        shutil.rmtree(self.clone / ".deploy", ignore_errors=True)
        shutil.rmtree(self.folder / "home", ignore_errors=True)
        (self.clone / "image.env").unlink(missing_ok=True)


def commit(folder: Path) -> None:
    for words in (
        ("init", "--quiet", "--initial-branch", "main"),
        ("add", "."),
        ("commit", "--quiet", "--message", "a"),
    ):
        env = os.environ | dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "a")
        env |= dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "a@example.com")
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, env=env)
