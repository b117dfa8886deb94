"""A rehearsal of a job of .gitlab-ci.yml: its scripts, as its runner has them executed."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import yaml

from service.environment import ROOT
from tests.deploy.clouds import Cloud
from tests.workflows.github import CHANGES, HERE, STAND_IN, SUITE, of_suite
from tests.workflows.machine import Machine
from tests.workflows.table import Row

FILE = ROOT / ".gitlab-ci.yml"
KNOWN = {  # keys of a job: one that is not known here is a failure
    *("after_script", "allow_failure", "artifacts", "before_script", "environment", "extends"),
    *("id_tokens", "image", "interruptible", "needs", "parallel", "resource_group", "rules"),
    *("script", "services", "stage", "timeout", "variables"),
}


def jobs() -> dict[str, Any]:
    loaded = yaml.safe_load(FILE.read_text())
    for name in ("stages", "workflow", "default"):
        del loaded[name]
    return {name: extended(loaded, spec) for name, spec in loaded.items() if name[0] != "."}


def extended(loaded: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    found = deepcopy(loaded[spec["extends"]]) if "extends" in spec else {}
    for key, value in spec.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = {**found[key], **value} if both else value
    assert set(found) <= KNOWN, set(found) - KNOWN
    return found


@dataclass
class Job:
    """One run of a job; what failed ends before_script and script, and not after_script."""

    machine: Machine
    name: str
    variables: Mapping[str, str]
    cloud: Cloud | None = None
    rows: list[Row] = field(default_factory=list)
    said: str = ""
    changed: bool = False

    def run(self) -> str:
        spec = jobs()[self.name]
        self.machine.forget()
        env = {**spec.get("variables", {}), **self.variables}  # what is set there goes before
        env |= dict.fromkeys(spec.get("id_tokens", {}), "a-planted-id-token")
        result = "success"
        for line in (*spec.get("before_script", ()), *spec["script"]):
            if not self._line(line, env):
                result = "failure"
                break
        for line in spec.get("after_script", ()):
            self._line(line, env)
        return result

    def _line(self, line: str, env: Mapping[str, str]) -> bool:
        if suite := SUITE.fullmatch(line):
            how, result = of_suite(suite[1], without_sample=self.changed)
            self.rows.append(Row(FILE.name, f"{self.name}: {line}", how, result))
            return True
        before = self.machine.called(self.cloud)
        if line == CHANGES:
            self.changed = True
            ended = self.machine.run_in_a_copy(line, env)
        else:
            ended = self.machine.run(line, "bash", env, self.cloud)
        self.said += ended.stdout + ended.stderr
        how = STAND_IN if self.machine.called(self.cloud) > before else HERE
        result = "ok" if ended.returncode == 0 else f"failed with {ended.returncode}"
        self.rows.append(Row(FILE.name, f"{self.name}: {line}".replace("|", "\\|"), how, result))
        return ended.returncode == 0
