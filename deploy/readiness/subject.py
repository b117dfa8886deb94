"""What the checklist is asked of: a target and a stage, its manifest, its servers, its address."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy import smoke
from deploy.docker import manifest as docker
from deploy.manifest import Finding, Kind, Manifest, Process, Stage, Variable
from deploy.readiness.platforms import LOOKS, Looks
from deploy.reading import toml_file
from deploy.rules import RULES
from deploy.rules.written import settings_of, written
from deploy.shell import Failed
from deploy.targets import TARGETS
from deploy.vps import manifest as vps
from deploy.vps import settings as servers
from deploy.vps.servers import FILE, Fleet
from deploy.vps.session import running
from deploy.vps.ssh import ask, connected, each
from service.settings import Settings

# Those without a manifest of a platform are read into the same form.
READERS: dict[str, Callable[[Path], Manifest]] = {
    **TARGETS,
    "docker": docker.read_manifest,
    "vps": vps.read_manifest,
}
ONE_STAGE = ("docker", "vps")  # their staging is another host, with settings of its own


@dataclass(frozen=True)
class Subject:
    """All that can be seen of it; each part is looked at once, when it is first asked for."""

    root: Path
    target: str
    stage: str = "production"
    service: smoke.Service | None = None  # what answers at --url
    schemas: Path | None = None
    servers_file: str = FILE
    ssh_config: Path | None = None

    @property
    def app(self) -> str:
        """What the platform calls it."""
        return self.name if self.stage == "production" else f"{self.name}-{self.stage}"

    @cached_property
    def name(self) -> str:
        """The product's. Raises Failed."""
        return toml_file(self.root, "pyproject.toml").text("project", "name") or ""

    @cached_property
    def manifest(self) -> Manifest:
        """Raises Failed for what cannot be read."""
        if self.target == "vps":
            found = vps.manifest_of(self.root, self.fleet, self.servers_file)
        else:
            found = READERS[self.target](self.root)
        return replace(found, root=self.root)

    @cached_property
    def of_stage(self) -> Stage:
        """Raises Failed if the manifest has none of that name."""
        for each_stage in self.manifest.stages:
            if each_stage.name == self.stage:
                return each_stage
        raise Failed(f"{self.target} has no stage {self.stage}")

    def process(self, kind: Kind) -> Process:
        """Raises Failed if there is none."""
        if found := self.of_stage.processes.get(kind):
            return found
        raise Failed(f"{self.of_stage.place}: {self.stage} has no {kind}")

    @cached_property
    def settings(self) -> Settings:
        """What web's variables come to, as far as the manifest writes them out."""
        return settings_of(written(self.process("web")))[0]

    def given(self, name: str) -> Variable | None:
        """How web is given a variable, by the manifest."""
        variables = self.process("web").variables
        return variables.get(name) or variables.get(f"{name}_FILE")

    def findings(self, rule: str) -> list[Finding]:
        """What a rule finds in this stage, or in all of them."""
        own = [one for one in self.manifest.findings if one.rule == rule]
        only = replace(self.manifest, stages=(self.of_stage,))
        return [one for one in (*RULES[rule](only), *own) if not one.warns]

    @cached_property
    def answers(self) -> dict[str, smoke.Row]:
        """What each check of the smoke test found; nothing without --url."""
        return {row["check"]: row for row in smoke.look(self.service)} if self.service else {}

    @cached_property
    def fleet(self) -> Fleet:
        """Raises Failed."""
        return servers.load(self.root, self.servers_file)

    @cached_property
    def statuses(self) -> dict[str, Any]:
        """What each server says of itself. Raises Failed if one is not reached."""
        with connected(self.ssh_config, self.fleet.servers) as ssh:
            found = each(self.fleet.servers, lambda one: ask(ssh, one, "status"))
        if lost := [str(one) for one in found.values() if isinstance(one, Failed)]:
            raise Failed("; ".join(lost))
        return found

    @cached_property
    def set_there(self) -> dict[str, str]:
        """The variables of the first server that runs the service; no secret is in them. Raises
        Failed."""
        first = running(self.fleet)[0]
        with connected(self.ssh_config, [first]) as ssh:
            found: dict[str, str] = ask(ssh, first, "env", "list")
        return found

    def value(self, name: str) -> str | None:
        """What a variable is, where that can be seen; "(set)" where only that it is. Raises
        Failed."""
        if self.target == "vps":
            return self.set_there.get(name) or self.set_there.get(f"{name}_FILE")
        found = self.given(name)
        return None if found is None else found.value or "(set)"

    def fetched(self, path: str, method: str = "GET", body: object = None) -> smoke.Answer:
        """An answer of the service at --url. Raises smoke.Wrong without a whole one."""
        assert self.service is not None
        headers = {"Content-Type": "application/json"} if body is not None else {}
        sent = None if body is None else json.dumps(body).encode()
        return self.service.fetch(path, method, headers, sent)

    @property
    def looks(self) -> Looks:
        """What to type for what is not seen from here."""
        found = LOOKS[self.target]
        names = {"app": self.app, "name": self.name, "stage": self.stage}
        return replace(
            found,
            **{
                each.name: _filled(getattr(found, each.name), names)
                for each in fields(found)
                if each.name != "suffix"
            },
        )


def _filled(text: str, names: dict[str, str]) -> str:
    """Not by `format`: commands have braces and brackets of their own."""
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text
