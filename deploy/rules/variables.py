"""Variables: they are there, they are settings, and they are the stage's own."""

from collections.abc import Iterator

from deploy.manifest import Finding, Manifest, Stage, Variable
from deploy.reading import Place
from deploy.rules.written import every_process, place_of, settings_of, written
from service.environment import FLAG, is_secret, read_flags, variable
from service.settings import Settings

# Known to Python, the server or the tools, and no business of the settings class.
FOREIGN = {"PYTHONUNBUFFERED", "PYTHONHASHSEED", "WEB_CONCURRENCY_SET_BY", "SENTRY_RELEASE"}


def variables(manifest: Manifest) -> Iterator[Finding]:
    """Each required one is given, none is unknown, no secret is written out, each value is one."""
    yield from _missing(manifest)
    known = {variable(name, each): name for name, each in Settings.model_fields.items()}
    for stage, process in every_process(manifest):
        given = process.variables
        said = given.get("APP_ENV")
        if stage.name != "production" and (said is None or said.value is None):
            yield Finding(
                "variables",
                place_of(process, "APP_ENV"),
                f"{process.kind} of {stage.name} is not told APP_ENV, and would be production",
                f"APP_ENV={stage.name}",
            )
        problems = settings_of(written(process))[1]
        for name, each in given.items():
            field = known.get(name.removesuffix("_FILE"))
            if name.startswith(FLAG):
                yield from _flag(each)
            elif field is None and name not in FOREIGN | set(manifest.platform.sets):
                yield Finding(
                    "variables",
                    each.place,
                    f"{name} is no setting of the service",
                    "correct or remove it; service/settings.py has them all",
                )
            elif field and each.value is not None:
                yield from _value(field, each, stage, problems.get(field))


def _missing(manifest: Manifest) -> Iterator[Finding]:
    """One finding for all processes that would be given it at the same place."""
    lack: dict[tuple[Place, str, str], list[str]] = {}
    fields = {variable(name, field): field for name, field in Settings.model_fields.items()}
    required = [name for name, field in fields.items() if field.is_required()]
    for stage, process in every_process(manifest):
        given = {*process.variables, *manifest.platform.sets}
        for name in required:
            # SECRETS_FROM may hold any: which it does, the process says when it starts.
            if not {name, f"{name}_FILE", "SECRETS_FROM"} & given:
                at = place_of(process, name), stage.name, name
                lack.setdefault(at, []).append(process.kind)
    for (place, stage_name, name), kinds in lack.items():
        yield Finding(
            "variables",
            place,
            f"{name}, which is required, is not given to {', '.join(kinds)} of {stage_name}",
            f"give it beside this; {fields[name].description}",
        )


def _flag(given: Variable) -> Iterator[Finding]:
    for name, said in read_flags({given.name: given.value or ""})[1]:
        yield Finding("variables", given.place, f"{name}: {said}", "correct it")


def _value(field: str, given: Variable, stage: Stage, problem: str | None) -> Iterator[Finding]:
    if is_secret(Settings.model_fields[field]) and not given.name.endswith("_FILE"):
        what, todo = (
            f"{given.name} is a secret, and is written out",
            "refer to it; `python -m deploy env` says how it is set",
        )
    elif problem:
        what, todo = f"{given.name}={given.value} {problem}", "correct it"
    elif field == "app_env" and given.value != stage.name:
        what, todo = f"APP_ENV is {given.value} in {stage.name}", f"set it to {stage.name}"
    else:
        return
    yield Finding("variables", given.place, what, todo)


def references(manifest: Manifest) -> Iterator[Finding]:
    """What is referred to is there, and is that of the stage: a test in staging must not write
    into the database of production. The reader of each format looks where references lead."""
    owners: dict[str, Stage] = {}
    for stage, process in every_process(manifest):
        for name, each in process.variables.items():
            if each.refers and owners.setdefault(each.refers, stage).name != stage.name:
                yield Finding(
                    "references",
                    each.place,
                    f"{name} of {stage.name} is {each.refers}, as in {owners[each.refers].name}",
                    f"refer to what is {stage.name}'s own",
                )
