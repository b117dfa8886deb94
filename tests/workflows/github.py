"""A rehearsal of GitHub's workflows: jobs in their order and with their conditions, steps that are
executed, and whole suites that CI runs by itself."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from service.environment import ROOT
from tests.deploy.clouds import Cloud
from tests.workflows.expressions import condition, filled, shown
from tests.workflows.graph import ancestors, combinations, defaults, in_order, listed, may_at_most
from tests.workflows.machine import Machine
from tests.workflows.table import Row

FOLDER = ROOT / ".github" / "workflows"
SUITE = re.compile(r"make (check|test[a-z-]*)")
CHANGES = "make remove-sample"  # the repository, so it is executed in a copy
ITSELF, HERE, STAND_IN, NOT_HERE = "run by CI itself", "ran here", "stand-in", "not run here"
PART_OF = {"test-image": "test-deploy"}
# No action is had here: what it is given is looked at. One that is not named here is a failure.
ACTIONS = (
    "actions/attest",
    "actions/checkout",
    "actions/setup-python",
    "aws-actions/configure-aws-credentials",
    "google-github-actions/auth",
    "sigstore/cosign-installer",
)


@dataclass
class Repository:
    """What somebody has set there; `of` an environment, beside what is set for all."""

    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    of: dict[str, tuple[dict[str, str], dict[str, str]]] = field(default_factory=dict)
    clouds: Mapping[str, Cloud] = field(default_factory=dict)

    def seen(self, environment: str | None) -> tuple[dict[str, str], dict[str, str]]:
        variables, secrets = self.of.get(environment or "", ({}, {}))
        return {**self.variables, **variables}, {**self.secrets, **secrets}


@dataclass
class Outcome:
    """How a job or a workflow has ended."""

    result: str
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Rehearsal:
    """One event, in one repository."""

    machine: Machine
    repository: Repository
    event: str
    ref: str = "refs/heads/main"
    rows: list[Row] = field(default_factory=list)
    said: str = ""  # by all steps
    summary: str = ""

    def workflow(
        self, name: str, inputs: Mapping[str, Any], allowed: Mapping[str, str] | None = None
    ) -> Outcome:
        """Its jobs, each after those that it needs. `allowed`: to one that is called."""
        loaded = yaml.load((FOLDER / name).read_text(), yaml.BaseLoader)
        assert loaded["permissions"] == {}, f"{name}: each job says what it may do"
        given = defaults(loaded["on"]) | {key: shown(value) for key, value in inputs.items()}
        done: dict[str, Outcome] = {}
        for job, spec in in_order(loaded["jobs"]):
            done[job] = self._job(name, loaded, job, spec, given, done, allowed)
        called = loaded["on"].get("workflow_call") or {}
        contexts = {"jobs": {job: {"outputs": each.outputs} for job, each in done.items()}}
        outputs = {
            output: shown(filled(spec["value"], contexts, {}))
            for output, spec in called.get("outputs", {}).items()
        }
        results = {each.result for each in done.values()}
        return Outcome("failure" if "failure" in results else "success", outputs)

    def _job(
        self,
        name: str,
        loaded: Mapping[str, Any],
        job: str,
        spec: Mapping[str, Any],
        inputs: Mapping[str, str],
        done: Mapping[str, Outcome],
        allowed: Mapping[str, str] | None,
    ) -> Outcome:
        may_at_most(name, job, spec["permissions"], allowed)
        needed = listed(spec.get("needs"))
        variables, secrets = self.repository.seen(None)
        contexts: dict[str, Any] = {
            "github": self._github(),
            "inputs": inputs,
            "vars": variables,
            "needs": {
                each: {"result": done[each].result, "outputs": done[each].outputs}
                for each in needed
            },
        }
        before = list(ancestors(loaded["jobs"], job))
        failed = any(done[each].result == "failure" for each in before)
        functions = status(failed, all(done[each].result == "success" for each in before))
        if not condition(spec.get("if", "success()"), contexts, functions):
            return Outcome("skipped")
        if "uses" in spec:
            assert spec["uses"].startswith("./.github/workflows/")
            given = {key: filled(v, contexts, functions) for key, v in spec.get("with", {}).items()}
            # Without `inherit`, what is called sees no secret of an environment.
            assert spec.get("secrets") == "inherit" or "deploy.yml" not in spec["uses"]
            return self.workflow(Path(spec["uses"]).name, given, spec["permissions"])
        assert int(spec["timeout-minutes"]) <= 120
        environment = spec.get("environment", {}).get("name")
        stage = filled(environment, contexts, functions) if environment else None
        variables, secrets = self.repository.seen(stage)
        contexts |= {"vars": variables, "secrets": secrets}
        found = Outcome("success")
        for matrix in combinations(spec.get("strategy", {}).get("matrix", {})):
            one = self._steps(name, job, loaded, spec, {**contexts, "matrix": matrix}, stage)
            found = one if one.result == "failure" or found.result == "success" else found
        return found

    def _steps(
        self,
        name: str,
        job: str,
        loaded: Mapping[str, Any],
        spec: Mapping[str, Any],
        contexts: dict[str, Any],
        stage: str | None,
    ) -> Outcome:
        self.machine.forget()
        failed = changed = False
        steps: dict[str, Any] = {}
        contexts = {**contexts, "steps": steps, "env": {}}
        functions = status(failed, True)
        outer = put_in(loaded.get("env", {}) | spec.get("env", {}), contexts, functions)
        for step in spec["steps"]:
            functions = status(failed, not failed)
            if not condition(step.get("if", "success()"), contexts, functions):
                continue
            label = f"{job}: {step['name']}"
            if "uses" in step:
                how, result = self._action(step, contexts, functions), "ok"
            else:
                env = outer | put_in(step.get("env", {}), contexts, functions)
                how, result, outputs = self._run(loaded, step, env, stage, changed)
                changed = changed or step["run"].strip() == CHANGES
                if "id" in step:
                    steps[step["id"]] = {"outputs": outputs}
            failed = failed or result not in ("ok", "-")
            self.rows.append(Row(name, label, how, result))
        outputs = put_in(spec.get("outputs", {}), contexts, functions)
        return Outcome("failure" if failed else "success", outputs)

    def _action(self, step: Mapping[str, Any], contexts: Mapping[str, Any], functions: Any) -> str:
        action, _, version = step["uses"].partition("@")
        assert re.fullmatch(r"[0-9a-f]{40}", version), step["uses"]
        given = put_in(step.get("with", {}), contexts, functions)
        if action == "actions/checkout":
            assert given["persist-credentials"] == "false"
        assert all(given.values()), f"{step['name']}: an empty input"
        assert action in ACTIONS, action
        return STAND_IN

    def _run(
        self,
        loaded: Mapping[str, Any],
        step: Mapping[str, Any],
        env: Mapping[str, str],
        stage: str | None,
        changed: bool,
    ) -> tuple[str, str, dict[str, str]]:
        assert "${{" not in step["run"], "expressions go through env"
        if suite := SUITE.fullmatch(step["run"].strip()):
            return *of_suite(suite[1], without_sample=changed), {}
        output, summary = self.machine.folder / "output", self.machine.folder / "summary"
        output.write_text("")
        summary.write_text("")
        github = {f"GITHUB_{key.upper()}": value for key, value in self._github().items()}
        github |= {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary), "CI": "true"}
        cloud = self.repository.clouds.get(stage or "")
        before = self.machine.called(cloud)
        shell = loaded["defaults"]["run"]["shell"]
        del github["GITHUB_TOKEN"]  # not there unless a step gives it
        if step["run"].strip() == CHANGES:
            ended = self.machine.run_in_a_copy(step["run"], github | env)
        else:
            ended = self.machine.run(step["run"], shell, github | env, cloud)
        self.said += ended.stdout + ended.stderr
        self.summary += summary.read_text()
        pairs = (line.partition("=") for line in output.read_text().splitlines())
        how = STAND_IN if self.machine.called(cloud) > before else HERE
        result = "ok" if ended.returncode == 0 else f"failed with {ended.returncode}"
        return how, result, {key: value for key, _, value in pairs}

    def _github(self) -> dict[str, str]:
        return {
            "event_name": self.event,
            "ref": self.ref,
            "sha": self.machine.sha,
            "actor": "alice",
            "repository": "Team/slipway",
            "server_url": "https://github.com",
            "token": "a-planted-github-token",
        }


def of_suite(target: str, *, without_sample: bool) -> tuple[str, str]:
    """How it is run and with what result; it must be in the Makefile. What .ci/run has not, or not
    without the sample, is of `make test-starter`."""
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target
    whole = PART_OF.get(target, target)
    runs = re.search(rf"\bmake {whole}$", (ROOT / ".ci" / "run").read_text(), re.M)
    return (ITSELF, "ok") if runs and not without_sample else (NOT_HERE, "-")


def status(failed: bool, succeeded: bool) -> dict[str, Callable[[], bool]]:
    return {
        "success": lambda: succeeded,
        "failure": lambda: failed,
        "always": lambda: True,
        "cancelled": lambda: False,
    }


def put_in(values: Mapping[str, Any], contexts: Any, functions: Any) -> dict[str, str]:
    return {key: shown(filled(value, contexts, functions)) for key, value in values.items()}
