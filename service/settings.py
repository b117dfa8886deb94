"""The configuration: every environment variable that the service knows, with type and meaning.

Add a setting: a field in the block "Yours" (its name in capitals is the variable) and a line
in `.env.example`; then `settings().your_field` anywhere below an app context.
"""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from flask import current_app
from pydantic import (
    AliasChoices,
    Field,
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
from service.variables import (
    PLACEHOLDER,
    DatabaseUrl,
    Dsn,
    Duration,
    Origins,
    Rate,
    RateLimit,
    RedisUrl,
    Refresh,
    Seconds,
    SecretsFrom,
    SmtpUrl,
    StrongSecret,
    is_strict,
    share,
    url,
)

ROOT = Path(__file__).resolve().parent.parent
DOTENV = ROOT / ".env"
FLAG = "FLAG_"
RELEASE = "release.env"  # beside it: COMMIT_SHA, where a server has a folder for each release


class Settings(BaseSettings):
    """The environment, read once and checked. Durations are written 500ms, 25s, 15m, 12h, 7d."""

    model_config = SettingsConfigDict(
        env_file=DOTENV,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    # --- Process -------------------------------------------------------------------------
    app_env: Literal["production", "staging", "development", "test"] = Field(
        "production",
        description="production, staging, development or test. Forgetting it is safe.",
    )
    commit_sha: str = Field(
        "unknown",
        validation_alias=AliasChoices(
            "COMMIT_SHA",
            "RENDER_GIT_COMMIT",
            "RAILWAY_GIT_COMMIT_SHA",
            "HEROKU_BUILD_COMMIT",
            "HEROKU_SLUG_COMMIT",
            "K_REVISION",
        ),
        description="The running version; read from the platform's own variable when unset.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO",
        description="The least severe level that is written: DEBUG, INFO, WARNING or ERROR.",
    )
    log_format: Literal["json", "console"] | None = Field(
        None, description="json, or console for people. Default: console in development."
    )

    # --- Server --------------------------------------------------------------------------
    port: int = Field(8000, ge=1, le=65535, description="The port that web binds.")
    web_concurrency: int | None = Field(
        None, ge=1, le=256, description="Processes. Default: from the cgroup's CPU and memory."
    )
    web_threads: int = Field(4, ge=1, le=64, description="Threads of each process.")
    web_keepalive: Seconds = Field(
        timedelta(seconds=75),
        description="How long an idle connection stays open: longer than the proxy in front.",
    )
    shutdown_grace: Seconds = Field(
        timedelta(seconds=25), description="What requests in flight get after SIGTERM."
    )
    proxy_hops: int = Field(
        0, ge=0, le=8, description="How many reverse proxies in front are trusted."
    )
    https_only: bool = Field(
        True,
        description="In production, redirect what a trusted proxy says came in the clear; HSTS.",
    )
    max_content_length: int = Field(
        1024 * 1024, ge=1, description="The largest request body in bytes."
    )

    # --- Database ------------------------------------------------------------------------
    database_url: DatabaseUrl = Field(
        description="PostgreSQL: postgresql://USER:PASSWORD@HOST:PORT/NAME?sslmode=require"
    )
    database_replica_url: DatabaseUrl | None = Field(
        None, description="A read replica; the primary answers for it when it is down."
    )
    database_pool_size: int = Field(5, ge=1, description="Connections that a process keeps open.")
    database_pool_max: int = Field(
        20, ge=1, description="The most connections that a process opens."
    )
    database_statement_timeout: Duration = Field(
        timedelta(seconds=15), description="Longer statements are cancelled: 503."
    )
    database_connect_retries: int = Field(
        5, ge=0, le=20, description="Tries after a failed connect, with growing pauses (3 s)."
    )
    database_prepared_statements: bool = Field(
        True, description="false behind PgBouncer in transaction mode."
    )

    # --- Redis ---------------------------------------------------------------------------
    redis_url: RedisUrl = Field(description="redis://:PASSWORD@HOST:PORT/0, or rediss:// for TLS")
    redis_tls_verify: bool = Field(
        True, description="false on Heroku, whose certificate is self-signed."
    )

    # --- Security ------------------------------------------------------------------------
    jwt_secret: StrongSecret = Field(
        description="Signs access tokens and cursors. 32 characters at least: openssl rand -hex 32"
    )
    jwt_secret_fallback: StrongSecret | None = Field(
        None, description="Whose tokens are accepted too: the next or the last one in a rotation."
    )
    jwt_expiration: Seconds = Field(
        timedelta(days=7), description="How long an access token lives."
    )
    frontend_url: Origins = Field(
        (), description="Origins that may call the API from a browser, comma-separated."
    )
    rate_limit_default: RateLimit = Field(
        Rate(100, 900), description="Per user where signed in, else per client address."
    )
    rate_limit_login: RateLimit = Field(
        Rate(5, 3600), description="Attempts to sign in, per client address."
    )

    # --- Jobs ----------------------------------------------------------------------------
    worker_concurrency: int | None = Field(
        None, ge=1, le=256, description="Processes of the worker. Default: one for each CPU."
    )
    worker_memory: int = Field(
        512 * 1024 * 1024,
        ge=64 * 1024 * 1024,
        description="Bytes at which a process of the worker is replaced, after its job.",
    )
    job_lease: Duration = Field(
        timedelta(seconds=20),
        description="After so long a job whose worker is silent runs again. Renewed every 5 s.",
    )
    outbox_recheck: Duration = Field(
        timedelta(seconds=20),
        description="How often a job that waits is looked for in Redis, and handed over again.",
    )
    job_wait_limit: Duration = Field(
        timedelta(minutes=15),
        description="A job that waits longer makes `healthcheck worker` fail.",
    )
    job_retention: Duration = Field(
        timedelta(days=7), description="How long jobs that succeeded can be looked at."
    )

    # --- Mail ----------------------------------------------------------------------------
    smtp_url: SmtpUrl | None = Field(
        None,
        description="smtp://USER:PASSWORD@HOST:587 (STARTTLS) or smtps://; mail is logged without.",
    )
    mail_from: str = Field(
        "service@localhost", validate_default=True, description="Who mail comes from."
    )

    # --- Observability -------------------------------------------------------------------
    sentry_dsn: Dsn | None = Field(None, description="Error reports; off without it.")
    sentry_traces_sample_rate: float = Field(
        0, ge=0, le=1, description="The share of requests that are traced. Costs 250 µs each."
    )
    metrics_token: StrongSecret | None = Field(
        None, description="Bearer token of /metrics, which is 404 in production without one."
    )
    smoke_token: StrongSecret | None = Field(
        None, description="Bearer token of /smoke, for the check after a deploy; 404 without one."
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Where worker and scheduler serve /metrics, if at all."
    )

    # --- Uploads -------------------------------------------------------------------------
    s3_bucket: str | None = Field(None, description="Uploads answer 503 without it.")
    s3_region: str = Field("us-east-1", description="The bucket's region.")
    s3_endpoint_url: str | None = Field(
        None, description="An S3-compatible server other than AWS, such as https://s3.example.com"
    )
    aws_access_key_id: SecretStr | None = Field(
        None, validate_default=True, description="The key that signs uploads."
    )
    aws_secret_access_key: SecretStr | None = Field(
        None, validate_default=True, description="Its secret."
    )

    # --- Secrets -------------------------------------------------------------------------
    secrets_from: SecretsFrom | None = Field(
        None,
        description="A store of secrets: aws-secrets-manager://NAME or vault://MOUNT/PATH",
    )
    secrets_refresh: Refresh = Field(
        timedelta(minutes=5),
        description="How often secrets of a store and of files are read again; or off.",
    )
    aws_region: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"),
        description="The region of Secrets Manager; an ARN in SECRETS_FROM tells it too.",
    )
    vault_addr: str | None = Field(
        None, description="Vault's address, such as https://vault.example.com:8200"
    )
    vault_namespace: str | None = Field(None, description="The namespace of Vault, if it has any.")
    vault_cacert: str | None = Field(
        None, description="A file with the authority that Vault's certificate is from."
    )
    vault_token: SecretStr | None = Field(
        None,
        description="Signs in to Vault; an agent that keeps one fresh writes VAULT_TOKEN_FILE.",
    )
    vault_role_id: str | None = Field(
        None, description="Signs in to Vault as this AppRole, with VAULT_SECRET_ID."
    )
    vault_secret_id: SecretStr | None = Field(None, description="The secret id of VAULT_ROLE_ID.")
    vault_role: str | None = Field(
        None,
        description="Signs in to Vault as this role, with the pod's service account of Kubernetes.",
    )
    vault_service_account: str | None = Field(
        None, description="The file of that account's token, if it is not where Kubernetes puts it."
    )
    vault_auth_mount: str | None = Field(
        None,
        description="Where that auth method is mounted in Vault. Default: approle or kubernetes.",
    )

    # --- Yours ---------------------------------------------------------------------------

    # -------------------------------------------------------------------------------------

    _rotation: Rotation | None = PrivateAttr(None)
    _stored: frozenset[str] = PrivateAttr(frozenset())  # fields that the store gave
    _warnings: tuple[str, ...] = PrivateAttr(())
    _flags: dict[str, float] = PrivateAttr(default_factory=dict)

    @field_validator("*")
    @classmethod
    def _is_no_placeholder(cls, value: Any, info: ValidationInfo) -> Any:
        secret = value.get_secret_value() if isinstance(value, SecretStr) else ""
        if PLACEHOLDER in secret and is_strict(info):
            raise ValueError("still holds the placeholder of .env.example")
        return value

    @field_validator("database_pool_max")
    @classmethod
    def _holds_the_pool(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("database_pool_size", 1):
            raise ValueError("must not be less than DATABASE_POOL_SIZE")
        return value

    @field_validator("database_statement_timeout")
    @classmethod
    def _is_a_time_out(cls, value: timedelta) -> timedelta:
        # The server takes less than 1 ms for none, and more than 24 days for no number.
        if not timedelta(milliseconds=10) <= value <= timedelta(days=1):
            raise ValueError("must be from 10ms to 1d")
        return value

    @field_validator("job_lease")
    @classmethod
    def _is_longer_than_its_renewal(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=10):
            raise ValueError("must be 10s at least: it is renewed every 5 s")
        return value

    @field_validator("aws_access_key_id", "aws_secret_access_key")
    @classmethod
    def _goes_with_a_bucket(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("s3_bucket") and not value:
            raise ValueError("is required with S3_BUCKET")
        return value

    @field_validator("mail_from")
    @classmethod
    def _goes_with_a_server(cls, value: str, info: ValidationInfo) -> str:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
            raise ValueError("is no e-mail address, such as shop@example.com")
        if info.data.get("smtp_url") and value.endswith("@localhost") and is_strict(info):
            raise ValueError("is required with SMTP_URL")
        return value

    @field_validator("s3_endpoint_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value and "@" in urlsplit(found := url(SecretStr(value), ("https", "http"))).netloc:
            raise ValueError("must hold no password: AWS_SECRET_ACCESS_KEY is for that")
        return value and found.rstrip("/")

    @property
    def is_production(self) -> bool:
        """Production or staging: what differs between the two is data, not behaviour."""
        return self.app_env in ("production", "staging")

    @property
    def log_as_json(self) -> bool:
        return (self.log_format or ("json" if self.is_production else "console")) == "json"

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
            return f"SECRETS_FROM {self.secrets_from}"
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
        rotation = Rotation(secrets, again, found.secrets_refresh)
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
            found = cls(_env_file=(dotenv.with_name(RELEASE), dotenv), **values)  # type: ignore[arg-type, call-arg]
        except ValidationError as error:
            lacks = "; SECRETS_FROM has none" if given.get("SECRETS_FROM") else ""
            more = [_problem(each, lacks) for each in error.errors(include_url=False)]
            problems += [each for each in more if each[0] not in told]
        if problems:
            raise SettingsError(problems)
        found._stored = frozenset(stored.values)
        found._warnings = tuple(stored.warnings)
        found._flags = flags
        return found, {name for name in values if name in storable}


def share_metrics(folder: str) -> None:
    """Have the processes that are forked from this one add up their metrics, in this folder.

    Before service.metrics is imported, whose library looks for it then.
    """
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)


def port() -> int:
    """PORT alone, for who asks web how it is: that takes no secret, so no store is asked."""

    class Port(BaseSettings):
        model_config = Settings.model_config
        port: int = Settings.model_fields["port"]  # type: ignore[assignment]

    try:
        return Port(_env_file=DOTENV).port  # type: ignore[call-arg]
    except ValidationError as error:
        problems = [_problem(each, "") for each in error.errors(include_url=False)]
        raise SettingsError(problems) from None


def settings() -> Settings:
    """The settings of the current app."""
    return current_app.extensions["settings"]  # type: ignore[no-any-return]


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


def _problem(details: Any, lacks: str) -> tuple[str, str]:
    """One of pydantic's errors in our words, without the value if it could be a secret; `lacks`
    is said of a secret that is missing."""
    name = str(details["loc"][0]).lower()
    field = Settings.model_fields[name]
    if details["type"] == "missing":
        about = f". {field.description}" if field.description else ""
        return variable(name, field), f"is required{about}{lacks * is_secret(field)}"
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] != "value_error":
        value = "" if is_secret(field) else f"{details.get('input')!r} is refused: "
        message = f"{value}{message[0].lower()}{message[1:]}"
    return variable(name, field), message


@cache
def project() -> tuple[str, str]:
    """The product's name and version, as pyproject.toml has them."""
    import tomllib  # 10 ms that not each start needs to pay

    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found["name"], found["version"]
