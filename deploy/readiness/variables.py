"""Of the variables: secrets are set, and what watches and limits is on."""

from deploy.env import FRESH, PLACEHOLDER, REQUIRED
from deploy.manifest import Variable
from deploy.readiness.answers import Answer, by_hand, failed, passed
from deploy.readiness.subject import Subject
from service.settings import Settings

STRICT = ("production", "staging")  # of APP_ENV: there the service refuses placeholders
ENV_SET = "python -m deploy vps env set"


def secrets(subject: Subject) -> Answer:
    """Every secret that is required is set, and none is a placeholder."""
    wanted = {*REQUIRED, *(name for name in FRESH if subject.given(name))}
    given = {name: found for name in sorted(wanted) if (found := subject.given(name))}
    store = subject.given("SECRETS_FROM")
    if not store and (missing := sorted(wanted - given.keys())):
        where = subject.process("web").place
        return failed(f"{where}: no {', '.join(missing)}", f"python -m deploy env {subject.target}")
    if left := sorted(name for name, each in given.items() if PLACEHOLDER in (each.value or "")):
        return failed(f"{given[left[0]].place}: {left[0]} is a placeholder", "put in its value")
    if wrong := _placeholders_in_file(subject):
        return wrong
    if _refuses_placeholders(subject):
        return passed("it serves in production, where placeholders and short secrets are refused")
    if subject.target == "vps":
        return _set_on_servers(subject, sorted(given))
    if store:
        return _stored(store.value or "a store")
    by_whom = [name for name, each in given.items() if each.by_hand]
    if not by_whom:
        return passed(", ".join(f"{name} {_from(each)}" for name, each in given.items()))
    return by_hand(f"set there by hand: {', '.join(by_whom)}", subject.looks.secrets)


def metrics_token(subject: Subject) -> Answer:
    """/metrics has a token: without one nobody can read it in production."""
    if subject.service:
        status = subject.fetched("/metrics").status
        if status == 401:
            return passed("/metrics answers 401 without its token")
        if status == 404:
            return failed("/metrics answers 404", "set METRICS_TOKEN (openssl rand -hex 32)")
        return failed(f"/metrics answers {status} without a token", "set METRICS_TOKEN")
    return _set(subject, "METRICS_TOKEN", "without it nobody can read /metrics")


def error_reports(subject: Subject) -> Answer:
    """Errors are reported to somebody: SENTRY_DSN is set."""
    return _set(subject, "SENTRY_DSN", "without it errors are in the logs only")


def mail(subject: Subject) -> Answer:
    """Mail is sent: SMTP_URL is set."""
    return _set(subject, "SMTP_URL", "without it mail is logged, and not sent")


def logs(subject: Subject) -> Answer:
    """Logs are lines of JSON, without what is for debugging."""
    form = subject.value("LOG_FORMAT") or "json"
    level = subject.value("LOG_LEVEL") or str(Settings.model_fields["log_level"].default)
    if form != "json":
        return failed(f"LOG_FORMAT is {form}", "leave it unset: json in production")
    if level == "DEBUG":
        return failed("LOG_LEVEL is DEBUG", "INFO, or what is more severe")
    return passed(f"{form}, {level} and more severe")


def rate_limits(subject: Subject) -> Answer:
    """Requests are limited, and attempts to sign in more than others."""
    limits = subject.answers.get("limits")
    if limits and limits["result"] == "failed":
        return failed(limits["why"], "see that Redis is reached")
    default, login = subject.settings.rate_limit_default, subject.settings.rate_limit_login
    said = ", ".join(
        f"{rate.count} in {rate.seconds / 60:g} minutes for {whom}"
        for rate, whom in ((default, "all"), (login, "sign-in"))
    )
    if login.count / login.seconds >= default.count / default.seconds:
        return failed(said, "lower RATE_LIMIT_LOGIN: passwords are guessed by it")
    return passed(said)


def _refuses_placeholders(subject: Subject) -> bool:
    """Whether it said that it runs as production does, to who has its token: with a placeholder it
    would not have started."""
    begun = subject.service.begun if subject.service and subject.answers else None
    return (begun or {}).get("environment") in STRICT


def _placeholders_in_file(subject: Subject) -> Answer | None:
    """Of the file that `deploy env` has written, if it is still here."""
    file = subject.root / f".env.{subject.target}.{subject.stage}"
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    for number, line in enumerate(lines, 1):
        name, _, value = line.partition("=")
        if PLACEHOLDER in value:
            return failed(f"{file.name}:{number}: {name} is a placeholder", "put in its value")
    return None


def _set_on_servers(subject: Subject, names: list[str]) -> Answer:
    missing = [name for name in names if not subject.value(name)]
    if missing and (store := subject.value("SECRETS_FROM")):
        return _stored(store)
    if missing:
        return failed(
            f"not set: {', '.join(missing)}", f"python -m deploy vps env set {missing[0]}"
        )
    return passed(f"set on the servers: {', '.join(names)}")


def _stored(where: str) -> Answer:
    return by_hand(
        f"what is not set comes from {where}",
        "python -m service doctor, where it runs: it says where each value comes from",
    )


def _from(variable: Variable) -> str:
    """Where it comes from, if not by hand."""
    if variable.made:
        return "made there"
    return f"from {variable.refers}" if variable.refers else "from there"


def _set(subject: Subject, name: str, without: str) -> Answer:
    """Of one that is optional: the manifest has it, or it may be set where we do not see it."""
    if subject.value(name):
        return passed(f"{name} is set")
    if subject.target == "vps":
        return failed(f"{name} is not set: {without}", f"{ENV_SET} {name}")
    return by_hand(f"{name} is in no manifest: {without}", subject.looks.secrets)
