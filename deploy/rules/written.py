"""What the settings come to that a manifest writes out for a process."""

from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Annotated

from pydantic import Field, ValidationError, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from deploy.manifest import Manifest, Process, Stage
from deploy.reading import Place
from service.environment import is_secret, variable
from service.settings import Settings

VALID = {
    "app_env": "production",
    # What others ask for, and may be a reference: S3_BUCKET and SMTP_URL.
    "aws_access_key_id": "x",
    "aws_secret_access_key": "x",
    "mail_from": "service@example.com",
}


class Given(Settings):
    """The settings class with nothing but what it is given: not the environment of who checks."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _written_out() -> type[Given]:
    """And what is required may be missing: it comes from elsewhere, and nobody here knows it."""
    fields = {}
    for name, each in Settings.model_fields.items():
        if each.is_required():
            kind = Annotated[each.annotation, *each.metadata]  # type: ignore[name-defined]
            fields[name] = (kind, Field(None, validate_default=False))
    return create_model("Written", __base__=Given, **fields)  # type: ignore[call-overload, no-any-return]


Written = _written_out()


def written(process: Process) -> tuple[tuple[str, str], ...]:
    """The settings that a manifest writes out for a process, by field."""
    fields = {variable(name, each): name for name, each in Settings.model_fields.items()}
    return tuple(
        (fields[name], each.value)
        for name, each in process.variables.items()
        if name in fields and each.value is not None
    )


@cache
def settings_of(written: tuple[tuple[str, str], ...]) -> tuple[Settings, dict[str, str]]:
    """What these come to, with the defaults of the rest; and what is wrong with some of them."""
    problems: dict[str, str] = {}
    while True:
        given = {name: value for name, value in written if name not in problems}
        try:
            return Written(**{**VALID, **given}), problems  # type: ignore[arg-type]
        except ValidationError as error:
            before = len(problems)
            for each in error.errors(include_url=False):
                said = str(each["msg"]).removeprefix("Value error, ")
                problems[str(each["loc"][0]).lower()] = said
            if len(problems) == before:  # of one that is not given: nothing is left to leave out
                return Written(**VALID), problems  # type: ignore[arg-type]


def every_process(manifest: Manifest) -> Iterator[tuple[Stage, Process]]:
    for stage in manifest.stages:
        for process in stage.processes.values():
            yield stage, process


def seconds(process: Process, field: str) -> float:
    found = getattr(settings_of(written(process))[0], field)
    assert isinstance(found, timedelta)
    return found.total_seconds()


def number(process: Process, field: str) -> int | None:
    found = getattr(settings_of(written(process))[0], field)
    assert found is None or isinstance(found, int)
    return found


def place_of(process: Process, name: str) -> Place:
    """Where a variable is, or where one like it is: beside it this one would be given too."""
    given = process.variables
    if name in given:
        return given[name].place
    written = [each.place for each in given.values() if each.value is not None]
    referred = [each.place for each in given.values() if each.value is None]
    field = next((f for n, f in Settings.model_fields.items() if variable(n, f) == name), None)
    beside = referred + written if field and is_secret(field) else written + referred
    return next(iter(beside), process.place)
