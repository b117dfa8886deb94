"""What the service is told: the process's environment, `.env`, files and a store of secrets.

Nothing to change here: settings.py has the variables. No other file reads the environment.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self

from dotenv import dotenv_values
from pydantic import (
    AliasChoices,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.rotation import Rotation
from service.secretstore import BOUND
from service.sources import SettingsError, check_syntax, secret_files, stored_secrets
from service.variables import PLACEHOLDER, is_strict, share

ROOT = Path(__file__).resolve().parent.parent
DOTENV = ROOT / ".env"
FLAG = "FLAG_"
RELEASE = "release.env"  # beside it: COMMIT_SHA, where a server has a folder for each release


class Environment(BaseSettings):
    """How a class of settings is read, and where its values came from."""

    model_config = SettingsConfigDict(
        env_file=DOTENV,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    _rotation: Rotation | None = PrivateAttr(None)
    _stored: frozenset[str] = PrivateAttr(frozenset())  # fields that the store gave
    _store: str = PrivateAttr("")
    _warnings: tuple[str, ...] = PrivateAttr(())
    _flags: dict[str, float] = PrivateAttr(default_factory=dict)

    @field_validator("*")
    @classmethod
    def _is_no_placeholder(cls, value: Any, info: ValidationInfo) -> Any:
        secret = value.get_secret_value() if isinstance(value, SecretStr) else ""
        if PLACEHOLDER in secret and is_strict(info):
            raise ValueError("still holds the placeholder of .env.example")
        return value

    @property
    def refresh(self) -> timedelta | None:
        """How often secrets are read again; None: when a signal asks for it."""
        raise NotImplementedError

    @property
    def rotation(self) -> Rotation | None:
        """What reads secrets again that came from files or a store; None if there are none."""
        return self._rotation

    @property
    def flags(self) -> Mapping[str, float]:
        """FLAG_NAME by name, as a share of the users: see flags.py."""
        return self._flags

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd, and wrong with nothing."""
        return self._warnings

    def origin(self, name: str) -> str:
        """Where a field's value came from, for people."""
        if name in self._stored:
            return f"SECRETS_FROM {self._store}"
        return origin(name, type(self).model_fields[name])

    @classmethod
    def load(cls, dotenv: Path = DOTENV, *, fresh: bool = False, patience: float = BOUND) -> Self:
        """Read the environment, the files that NAME_FILE variables name, SECRETS_FROM and `.env`.

        SECRETS_FROM is asked once in a tree of processes, unless it is to be `fresh`, and waited
        for as many seconds. Raises SettingsError with every problem at once.
        """
        found, rotates = cls._read(dotenv, fresh, patience)
        if not rotates:
            return found

        def again() -> dict[str, SecretStr | None]:
            newer, _ = cls._read(dotenv, True, BOUND)
            return {name: getattr(newer, name) for name in rotates}

        secrets = {name: getattr(found, name) for name in rotates}
        rotation = Rotation(secrets, again, found.refresh)
        found = found.model_copy(update=rotation.secrets)
        found._rotation = rotation
        return found

    @classmethod
    def _read(cls, dotenv: Path, fresh: bool, patience: float) -> tuple[Self, set[str]]:
        """The settings, and which of them are secrets that may be others when read again."""
        check_syntax(dotenv)
        secrets = [name for name, field in cls.model_fields.items() if is_secret(field)]
        given = environment(dotenv)
        files, problems = secret_files(secrets, given)
        told = {name.removesuffix("_FILE") for name, _ in problems}
        flags, odd = read_flags(given)
        given |= {name.upper(): value for name, value in files.items()}
        lenient = given.get("APP_ENV") in ("development", "test")
        storable = [name for name in secrets if not name.startswith("vault_")]
        stored = stored_secrets(storable, given, fresh, patience, lenient)
        told |= {name for name, _ in stored.problems}
        if stored.is_lost:
            told |= {name.upper() for name in storable if not given.get(name.upper())}
        problems += odd + stored.problems
        values = files | stored.values
        try:
            found = cls(_env_file=(dotenv.with_name(RELEASE), dotenv), **values)  # type: ignore[call-arg]
        except ValidationError as error:
            lacks = "; SECRETS_FROM has none" if given.get("SECRETS_FROM") else ""
            problems += [each for each in cls.problems(error, lacks) if each[0] not in told]
        if problems:
            raise SettingsError(problems)
        found._stored, found._store = frozenset(stored.values), given.get("SECRETS_FROM", "")
        found._warnings = tuple(stored.warnings)
        found._flags = flags
        return found, {name for name in values if name in storable}

    @classmethod
    def problems(cls, error: ValidationError, lacks: str = "") -> list[tuple[str, str]]:
        """pydantic's errors in our words, as (variable, what to do); `lacks` is said of a secret
        that is missing."""
        return [cls._problem(each, lacks) for each in error.errors(include_url=False)]

    @classmethod
    def _problem(cls, details: Any, lacks: str) -> tuple[str, str]:
        """One of them, without the value if it could be a secret."""
        name = str(details["loc"][0]).lower()
        field = cls.model_fields[name]
        if details["type"] == "missing":
            about = f". {field.description}" if field.description else ""
            return variable(name, field), f"is required{about}{lacks * is_secret(field)}"
        message = details["msg"].removeprefix("Value error, ")
        if details["type"] != "value_error":
            value = "" if is_secret(field) else f"{details.get('input')!r} is refused: "
            message = f"{value}{message[0].lower()}{message[1:]}"
        return variable(name, field), message


def share_metrics(folder: str) -> None:
    """Have the processes that are forked from this one add up their metrics, in this folder.

    Before service.metrics is imported, whose library looks for it then.
    """
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)


def environment(dotenv: Path = DOTENV) -> dict[str, str]:
    """`.env` under the process's own environment: what a child process is started with."""
    values = {name: value for name, value in dotenv_values(dotenv).items() if value}
    return values | dict(os.environ)


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable of a field."""
    alias = field.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name.upper()


def is_secret(field: FieldInfo) -> bool:
    """Whether the value must never be shown."""
    return "SecretStr" in str(field.annotation)


def origin(name: str, field: FieldInfo) -> str:
    """Where a field's value came from, for people: `environment`, `.env`, a file, `default`."""
    names = [variable(name, field)]
    if isinstance(field.validation_alias, AliasChoices):
        names = [str(choice) for choice in field.validation_alias.choices]
    dotenv, release = dotenv_values(DOTENV), dotenv_values(DOTENV.with_name(RELEASE))
    for each in names:
        if os.environ.get(each):
            return "environment" if each == names[0] else f"environment ({each})"
        if path := os.environ.get(f"{each}_FILE") or dotenv.get(f"{each}_FILE"):
            return f"file {path}"
        if dotenv.get(each):
            return ".env"
        if release.get(each):
            return RELEASE
    return "default"


def read_flags(given: Mapping[str, str]) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """The shares of FLAG_… by name, and what is wrong with some."""
    found, problems = {}, []
    for name in sorted(given):
        if name.startswith(FLAG) and given[name]:
            try:
                found[name.removeprefix(FLAG).lower()] = share(given[name])
            except ValueError as error:
                problems.append((name, f"{given[name]!r} is refused: {error}"))
    return found, problems


@cache
def project() -> tuple[str, str]:
    """The product's name and version, as pyproject.toml has them."""
    import tomllib  # 10 ms that not each start needs to pay

    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found["name"], found["version"]
