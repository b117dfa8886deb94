"""The configuration: every environment variable that the service knows, with type and meaning.

Add a setting: a field in the block "Yours" (its name in capitals is the variable) and a line
in `.env.example`; then `settings().your_field` anywhere below an app context.
"""

import re
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from flask import current_app
from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings

from service.environment import DOTENV, Environment
from service.sources import SettingsError
from service.variables import (
    DatabaseUrl,
    Dsn,
    Duration,
    Headers,
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
    url,
)


class Settings(Environment):
    """The environment, read once and checked. Durations are written 500ms, 25s, 15m, 12h, 7d."""

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
    otel_exporter_otlp_endpoint: str | None = Field(
        None,
        description="Traces, by OTLP over HTTP: http://collector:4318. Off without it.",
    )
    otel_exporter_otlp_headers: Headers | None = Field(
        None, description="What the collector wants to see: NAME=VALUE,NAME=VALUE"
    )
    otel_traces_sampler_arg: float = Field(
        1, ge=0, le=1, description="The share of traces that begin here and are sent."
    )
    otel_service_name: str | None = Field(
        None, description="What traces call the service. Default: the project's name."
    )
    metrics_token: StrongSecret | None = Field(
        None, description="Bearer token of /metrics, which is 404 in production without one."
    )
    smoke_token: StrongSecret | None = Field(
        None, description="Bearer token of /smoke, for the check after a deploy; 404 without one."
    )
    ops_token: StrongSecret | None = Field(
        None, description="Signs operators in to /ops, which is 404 without one."
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

    @field_validator("s3_endpoint_url", "otel_exporter_otlp_endpoint")
    @classmethod
    def _is_http(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and "@" in urlsplit(found := url(SecretStr(value), ("https", "http"))).netloc:
            instead = {"s3_endpoint_url": "AWS_SECRET_ACCESS_KEY"}
            name = instead.get(info.field_name or "", "OTEL_EXPORTER_OTLP_HEADERS")
            raise ValueError(f"must hold no password: {name} is for that")
        return value and found.rstrip("/")

    @property
    def refresh(self) -> timedelta | None:
        return self.secrets_refresh

    @property
    def is_production(self) -> bool:
        """Production or staging: what differs between the two is data, not behaviour."""
        return self.app_env in ("production", "staging")

    @property
    def log_as_json(self) -> bool:
        return (self.log_format or ("json" if self.is_production else "console")) == "json"


def settings() -> Settings:
    """The settings of the current app."""
    return current_app.extensions["settings"]  # type: ignore[no-any-return]


def port() -> int:
    """PORT alone, for who asks web how it is: that takes no secret, so no store is asked."""

    class Port(BaseSettings):
        model_config = Settings.model_config
        port: int = Settings.model_fields["port"]  # type: ignore[assignment]

    try:
        return Port(_env_file=DOTENV).port  # type: ignore[call-arg]
    except ValidationError as error:
        raise SettingsError(Settings.problems(error)) from None
