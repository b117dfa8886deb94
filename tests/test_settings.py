"""The environment: what is refused and how it reads, what wins over what, and `.env.example`."""

import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from service.environment import is_secret, origin, variable
from service.settings import Settings
from service.sources import SettingsError
from service.variables import redacted

SECRET = "correct-horse-battery-staple-and-more"
VALID = {
    "DATABASE_URL": f"postgresql://service:{SECRET}@db.example.com:5432/service?sslmode=require",
    "REDIS_URL": f"rediss://:{SECRET}@cache.example.com:6379/0",
    "JWT_SECRET": SECRET,
}
NO_DOTENV = Path("/nonexistent/.env")


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, field in Settings.model_fields.items():
        monkeypatch.delenv(variable(name, field), raising=False)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> object:
    """Load settings from these variables; None leaves one of VALID out."""

    def from_variables(dotenv: Path = NO_DOTENV, **changes: str | None) -> Settings:
        for name, value in (VALID | changes).items():
            if value is not None:
                monkeypatch.setenv(name, value)
        return Settings.load(dotenv)

    return from_variables


def problems(load: object, **changes: Any) -> dict[str, str]:
    assert callable(load)
    with pytest.raises(SettingsError) as caught:
        load(**changes)
    assert SECRET not in str(caught.value)
    return dict(caught.value.problems)


def test_production_is_the_default(load: object) -> None:
    assert callable(load)
    found = load()
    assert (found.app_env, found.is_production, found.log_as_json) == ("production", True, True)


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        ({"DATABASE_URL": None}, "DATABASE_URL", "is required"),
        ({"JWT_SECRET": ""}, "JWT_SECRET", "is required"),
        ({"PORT": "http"}, "PORT", "'http' is refused: input should be a valid integer"),
        ({"PORT": "65536"}, "PORT", "less than or equal to 65535"),
        ({"APP_ENV": "prod"}, "APP_ENV", "'prod' is refused: input should be 'production'"),
        ({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY", "greater than or equal to 1"),
        ({"REDIS_TLS_VERIFY": "maybe"}, "REDIS_TLS_VERIFY", "valid boolean"),
        ({"SHUTDOWN_GRACE": "25"}, "SHUTDOWN_GRACE", "a number and a unit"),
        ({"SHUTDOWN_GRACE": "0s"}, "SHUTDOWN_GRACE", "longer than nothing"),
        ({"JWT_EXPIRATION": "9" * 30 + "d"}, "JWT_EXPIRATION", "longer than anything lasts"),
        ({"RATE_LIMIT_LOGIN": "often"}, "RATE_LIMIT_LOGIN", '"100 per 15 minutes"'),
        ({"DATABASE_URL": f"mysql://a:{SECRET}@b/c"}, "DATABASE_URL", "must start with"),
        ({"DATABASE_URL": f"postgresql://a:{SECRET}@b"}, "DATABASE_URL", "names no database"),
        ({"DATABASE_URL": f"postgresql://a:{SECRET}@/c"}, "DATABASE_URL", "names no host"),
        ({"DATABASE_URL": f"postgresql://a:{SECRET}@b:x/c"}, "DATABASE_URL", "check its port"),
        ({"REDIS_URL": f"http://{SECRET}@b"}, "REDIS_URL", "redis:// or rediss://"),
        ({"REDIS_URL": f"redis://:{SECRET}@[b"}, "REDIS_URL", "brackets"),
        ({"JWT_SECRET": "correct-horse"}, "JWT_SECRET", "at least 32 characters"),
        ({"JWT_SECRET": "change-me" * 9}, "JWT_SECRET", "placeholder"),
        ({"METRICS_TOKEN": "correct-horse"}, "METRICS_TOKEN", "at least 32 characters"),
        ({"SENTRY_DSN": SECRET}, "SENTRY_DSN", "must start with https://"),
        ({"SENTRY_DSN": "https://sentry.io/1"}, "SENTRY_DSN", "https://KEY@HOST/PROJECT"),
        ({"DATABASE_POOL_MAX": "4"}, "DATABASE_POOL_MAX", "less than DATABASE_POOL_SIZE"),
        ({"DATABASE_POOL_SIZE": "21"}, "DATABASE_POOL_MAX", "less than DATABASE_POOL_SIZE"),
        ({"S3_ENDPOINT_URL": "s3.example.com"}, "S3_ENDPOINT_URL", "must start with https://"),
        ({"FRONTEND_URL": "*"}, "FRONTEND_URL", "'*' is no origin"),
        ({"FRONTEND_URL": "https://a.com/path"}, "FRONTEND_URL", "is no origin"),
        ({"FRONTEND_URL": "https://a.com, b.com"}, "FRONTEND_URL", "'b.com' is no origin"),
        ({"JWT_SECRET_FILE": "/etc/hostname"}, "JWT_SECRET_FILE", "contradicts JWT_SECRET"),
        (
            {"DATABASE_URL": f"postgresql://u:a@b:{SECRET}@h:5432/d"},
            "DATABASE_URL",
            "special characters are written %40",
        ),
        ({"REDIS_URL": f"redis://:{SECRET}@h/0?bogus=1"}, "REDIS_URL", "nothing after"),
        ({"REDIS_URL": f"redis://:{SECRET}@h/0x"}, "REDIS_URL", "must end in /NUMBER"),
        ({"SENTRY_DSN": f"https://{SECRET}@h/name"}, "SENTRY_DSN", "whose end is a number"),
        ({"DATABASE_STATEMENT_TIMEOUT": "0.4ms"}, "DATABASE_STATEMENT_TIMEOUT", "from 10ms"),
        ({"DATABASE_STATEMENT_TIMEOUT": "99999d"}, "DATABASE_STATEMENT_TIMEOUT", "to 1d"),
        ({"JWT_EXPIRATION": "500ms"}, "JWT_EXPIRATION", "must be 1s at least"),
        ({"SHUTDOWN_GRACE": "500ms"}, "SHUTDOWN_GRACE", "must be 1s at least"),
        ({"WEB_KEEPALIVE": "500ms"}, "WEB_KEEPALIVE", "must be 1s at least"),
        ({"JOB_LEASE": "5s"}, "JOB_LEASE", "10s at least"),
        ({"SMTP_URL": "smtp://h"}, "MAIL_FROM", "is required with SMTP_URL"),
        ({"MAIL_FROM": "nobody"}, "MAIL_FROM", "is no e-mail address"),
        ({"SMTP_URL": f"http://{SECRET}@h"}, "SMTP_URL", "smtp:// or smtps://"),
        ({"JWT_SECRET": " " * 40}, "JWT_SECRET", "at least 32 characters"),
        ({"FRONTEND_URL": f"https://u:{SECRET}@a.com"}, "FRONTEND_URL", "//***@a.com"),
        ({"S3_ENDPOINT_URL": f"https://u:{SECRET}@a.com"}, "S3_ENDPOINT_URL", "no password"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": f"https://u:{SECRET}@a.com"},
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "no password: OTEL_EXPORTER_OTLP_HEADERS is for that",
        ),
        ({"OTEL_EXPORTER_OTLP_HEADERS": SECRET}, "OTEL_EXPORTER_OTLP_HEADERS", "NAME=VALUE"),
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": f"a={SECRET}%0A"},
            "OTEL_EXPORTER_OTLP_HEADERS",
            "NAME=VALUE",
        ),
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": f"a=%20{SECRET}"},
            "OTEL_EXPORTER_OTLP_HEADERS",
            "NAME=VALUE",
        ),
        ({"OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG", "less than or equal to 1"),
        ({"METRICS_TOKEN_FILE": "/dev/null"}, "METRICS_TOKEN_FILE", "a file that is empty"),
    ],
)
def test_a_bad_variable_is_refused_by_name_and_with_what_was_expected(
    load: object, changes: dict[str, str | None], name: str, said: str
) -> None:
    found = problems(load, **changes)
    assert list(found) == [name]
    assert said in found[name]


def test_all_problems_are_told_at_once(load: object) -> None:
    bad = {"JWT_SECRET": "short", "PORT": "x", "S3_BUCKET": "b", "DATABASE_URL": None}
    found = problems(load, **bad, REDIS_URL_FILE="/nonexistent", FRONTEND_URL="*")
    expected = {"JWT_SECRET", "PORT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert set(found) == expected | {"DATABASE_URL", "REDIS_URL_FILE", "FRONTEND_URL"}


def test_the_message_is_a_table_and_shows_no_secret(load: object) -> None:
    assert callable(load)
    secrets = {
        variable(n, f): f"x{SECRET}" for n, f in Settings.model_fields.items() if is_secret(f)
    }
    short = {"JWT_SECRET": SECRET[:20], "METRICS_TOKEN": SECRET[:20]}
    with pytest.raises(SettingsError) as caught:
        load(**secrets | short, PORT="x")
    assert str(caught.value).splitlines()[0] == "The environment is not valid: 9 problems."
    assert "  JWT_SECRET                  must have at least 32 characters" in str(caught.value)
    assert SECRET[:20] not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("environment", ["development", "test"])
def test_development_and_tests_may_have_weak_secrets(load: object, environment: str) -> None:
    assert callable(load)
    assert load(APP_ENV=environment, JWT_SECRET="change-me").log_as_json is False


def test_staging_is_as_strict_as_production(load: object) -> None:
    assert problems(load, APP_ENV="staging", JWT_SECRET="weak").keys() == {"JWT_SECRET"}


def test_a_secret_is_read_from_the_file_that_its_variable_names(
    load: object, tmp_path: Path
) -> None:
    assert callable(load)
    (tmp_path / "secret").write_text(f"{SECRET}-from-a-file\n")
    found = load(JWT_SECRET=None, JWT_SECRET_FILE=str(tmp_path / "secret"))
    assert found.jwt_secret.get_secret_value() == f"{SECRET}-from-a-file"


def test_a_setting_without_a_description_is_required_in_one_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Yours(Settings):
        shop_name: str

    monkeypatch.setitem(Settings.model_fields, "shop_name", Yours.model_fields["shop_name"])
    with pytest.raises(SettingsError) as caught:
        Yours.load(NO_DOTENV)
    assert ("SHOP_NAME", "is required") in caught.value.problems
    assert "env set" in str(caught.value)


def test_a_secret_file_that_cannot_be_read_is_a_problem(load: object, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    found = problems(load, JWT_SECRET=None, JWT_SECRET_FILE=str(tmp_path / "secret"))
    assert "it is no text" in found["JWT_SECRET_FILE"]
    missing = problems(load, JWT_SECRET=None, JWT_SECRET_FILE="/nonexistent")
    assert "No such file" in missing["JWT_SECRET_FILE"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("JWT_SECRET=ä\n".encode("utf-16"), "is not UTF-8"),
        (b"# fine\nPORT=1\nwhat is this\nPORT=2\n", "line 3 is not NAME=value"),
    ],
)
def test_a_dotenv_that_cannot_be_read_is_a_problem_that_names_it(
    load: object, tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / ".env").write_bytes(content)
    assert problems(load, dotenv=tmp_path / ".env") == {
        ".env": f"{said}{': save it as that' * ('UTF' in said)}"
    }


def test_the_environment_wins_over_dotenv_unless_it_is_empty(load: object, tmp_path: Path) -> None:
    assert callable(load)
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=8001\nWEB_THREADS=8\nLOG_LEVEL=DEBUG\nUNKNOWN=1\n")
    found = load(dotenv, PORT="8002", WEB_THREADS="")
    assert (found.port, found.web_threads, found.log_level) == (8002, 8, "DEBUG")
    assert Settings(_env_file=dotenv).port == 8002


def test_a_secret_file_may_be_named_in_dotenv(load: object, tmp_path: Path) -> None:
    assert callable(load)
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / ".env").write_text(f"JWT_SECRET_FILE={tmp_path}/secret\n")
    assert load(tmp_path / ".env", JWT_SECRET=None).jwt_secret.get_secret_value() == SECRET


@pytest.mark.parametrize(
    "name", ["COMMIT_SHA", "RENDER_GIT_COMMIT", "RAILWAY_GIT_COMMIT_SHA", "HEROKU_SLUG_COMMIT"]
)
def test_the_version_is_read_from_the_platforms_own_variable(load: object, name: str) -> None:
    assert callable(load)
    assert load(**{name: "abc123"}).commit_sha == "abc123"
    expected = "environment" if name == "COMMIT_SHA" else f"environment ({name})"
    assert origin("commit_sha", Settings.model_fields["commit_sha"]) == expected
    assert load(COMMIT_SHA="def456").commit_sha == "def456"


def test_the_version_is_read_from_a_file_of_the_release(load: object, tmp_path: Path) -> None:
    assert callable(load)
    (tmp_path / "release.env").write_text("COMMIT_SHA=abc123\n")
    assert load(tmp_path / ".env").commit_sha == "abc123"
    assert load(tmp_path / ".env", COMMIT_SHA="def456").commit_sha == "def456"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_way_to_write_a_database_url_is_taken_and_sslmode_kept(
    load: object, scheme: str
) -> None:
    assert callable(load)
    found = load(DATABASE_URL=f"{scheme}://u:p@h:5433/d?sslmode=verify-full")
    expected = "postgresql+psycopg://u:p@h:5433/d?sslmode=verify-full"
    assert found.database_url.get_secret_value() == expected


def test_origins_are_a_list_without_blanks_and_slashes(load: object) -> None:
    assert callable(load)
    found = load(FRONTEND_URL=" https://a.example.com/ ,http://localhost:5173,, ")
    assert found.frontend_url == ("https://a.example.com", "http://localhost:5173")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (SECRET, "(set)"),
        (f"jwt://{SECRET}", "(set)"),
        (f"postgresql://u:{SECRET}@h/d?password={SECRET}", "postgresql://u:***@h/d"),
        (f"redis://:{SECRET}@[::1]:6379/0", "redis://:***@[::1]:6379/0"),
        (f"https://{SECRET}@sentry.example.com/1", "https://sentry.example.com/1"),
    ],
)
def test_what_is_shown_of_a_secret_is_no_secret(text: str, shown: str) -> None:
    assert redacted(SecretStr(text)) == shown
