"""Of the service itself, at --url: what it answers, as whom, and for whom."""

import ast

from deploy import smoke
from deploy.readiness.answers import Answer, by_hand, failed, passed
from deploy.readiness.subject import Subject
from deploy.shell import Failed, run

ASK = "give --url https://…"
ELSEWHERE = ("tls", "redirect", "limits", "client")  # checks that have items of their own
DEMO = "service/users/demo.py"


def https(subject: Subject) -> Answer:
    """Users speak TLS: it is trusted, http leads to it, and browsers are told so (HSTS)."""
    if subject.settings.https_only is False:
        return by_hand("HTTPS_ONLY is false", "see that who is in front speaks TLS with users")
    if not subject.service:
        return by_hand("nothing was asked", ASK)
    if subject.service.scheme == "http":
        return failed("it is asked by http", "put TLS in front, and ask by https")
    found = [subject.answers[name] for name in ("ready", "tls", "redirect")]
    if wrong := next((row for row in found if row["result"] == "failed"), None):
        return failed(wrong["why"], "see the target's page, and PROXY_HOPS")
    if unseen := next((row for row in found if row["result"] == "skipped"), None):
        return by_hand(f"{unseen['check']}: {unseen['why']}", "ask again")
    return passed("its certificate is accepted, http leads to https, and it sends HSTS")


def answers(subject: Subject) -> Answer:
    """The service passes its smoke test."""
    if not subject.service:
        return by_hand("nothing was asked", ASK)
    rows = [row for name, row in subject.answers.items() if name not in ELSEWHERE]
    if wrong := [row for row in rows if row["result"] == "failed"]:
        return failed(f"{wrong[0]['check']}: {wrong[0]['why']}", "python -m deploy smoke URL")
    if unseen := [row for row in rows if row["result"] == "skipped"]:
        why = ", ".join(f"{row['check']}: {row['why']}" for row in unseen)
        return by_hand(why, "set SMOKE_TOKEN to the service's, and ask again")
    return passed(", ".join(row["check"] for row in rows))


def version(subject: Subject) -> Answer:
    """It says which commit it is, and that is the one here."""
    if not subject.service:
        return by_hand("nothing was asked", ASK)
    serves = str(subject.fetched("/health").json("/health").get("version"))
    if serves in ("unknown", "None"):
        return failed("it does not know its version", "set COMMIT_SHA: the target's page says how")
    try:
        here = run(["git", "-C", str(subject.root), "rev-parse", "HEAD"]).strip()
    except Failed:
        return by_hand(f"it is {serves}; there is no git here", "compare it with your commit")
    if not (len(serves) >= 7 and here.startswith(serves)):
        return failed(f"it is {serves[:12]}, and {here[:12]} is here", "release, or check that out")
    return passed(f"{serves[:12]}, as here")


def domain(subject: Subject) -> Answer:
    """Users ask for a name of your own."""
    if not subject.service:
        return by_hand("nothing was asked", f"{subject.looks.domain}; then {ASK}")
    host, suffix = subject.service.host, subject.looks.suffix
    if suffix and host.endswith(suffix):
        return failed(f"{host} is the platform's", f"add a name of yours: {subject.looks.domain}")
    if subject.target == "vps" and host != subject.fleet.domain:
        return failed(f"{host} is not the domain of servers.toml", f"it is {subject.fleet.domain}")
    if host.replace(".", "").isdecimal() or ":" in host or host == "localhost":
        return failed(f"{host} is no name", f"ask by the one that users have: {ASK}")
    if subject.answers["ready"]["result"] == "failed":
        return failed(subject.answers["ready"]["why"], subject.looks.domain)
    return passed(host)


def demo_accounts(subject: Subject) -> Answer:
    """Nobody can sign in as the demo data's people, whose password is known."""
    found = _demo(subject)
    if found is None:
        return passed(f"there is no {DEMO}")
    if not subject.service:
        return by_hand("nothing was asked", ASK)
    if (ready := subject.answers["ready"])["result"] == "failed":
        return failed(ready["why"], "see that it serves")
    if subject.service.scheme == "http" and smoke.is_public(subject.service.theirs):
        return by_hand("passwords are not sent in the clear", ASK)
    body = dict(zip(("email", "password"), found, strict=True))
    status = subject.fetched("/api/auth/login", "POST", body).status
    if status == 401:
        return passed(f"{found[0]} is refused")
    if status == 200:
        return failed(f"{found[0]} can sign in", "delete the account: DELETE /api/users/me")
    return by_hand(f"the attempt to sign in was answered with {status}", "ask again later")


def _demo(subject: Subject) -> tuple[str, str] | None:
    """The first account's address and password, as the source has them; None without any."""
    file = subject.root / DEMO
    if not file.is_file():
        return None
    values = {
        target.id: node.value.value
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    try:
        return str(values["EMAIL"]), str(values["PASSWORD"])
    except KeyError:
        raise Failed(f"{DEMO}: has no EMAIL and PASSWORD") from None
