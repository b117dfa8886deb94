"""Of traffic: who is asked whether it is well, how it stops, and what it may open."""

from deploy.manifest import LASTING
from deploy.readiness.answers import Answer, by_hand, failed, passed
from deploy.readiness.subject import Subject
from deploy.rules.budgets import opened_by
from deploy.rules.written import seconds


def health_checks(subject: Subject) -> Answer:
    """web is asked whether it is ready, and is not ended because its database is down."""
    if found := subject.findings("health"):
        return failed(f"{found[0].place}: {found[0].what}", found[0].todo)
    web = subject.process("web")
    asked = [f"{probe.place}: {probe.path}" for probe in web.probes]
    asked += [f"{check.place}: {check.value}" for check in web.checks]
    if not asked:
        why = subject.manifest.platform.silent.get("health", "nobody asks web")
        return by_hand(why, "have something ask /health/ready from outside, and tell somebody")
    return passed(", ".join(asked))


def graceful_stop(subject: Subject) -> Answer:
    """Who is told to stop has the time to finish, before the platform ends it."""
    if found := subject.findings("time"):
        return failed(f"{found[0].place}: {found[0].what}", found[0].todo)
    said = []
    for kind in LASTING:
        process = subject.process(kind)
        has = process.grace.value if process.grace else subject.manifest.platform.grace
        said.append(f"{kind} {seconds(process, 'shutdown_grace'):g} of {has:g} s")
    return passed(", ".join(said))


def proxy_hops(subject: Subject) -> Answer:
    """As many proxies are trusted as there are: limits and logs are of who asks."""
    if found := subject.findings("proxies"):
        return failed(f"{found[0].place}: {found[0].what}", found[0].todo)
    hops = subject.settings.proxy_hops
    client = subject.answers.get("client", {"result": "skipped", "why": "not asked: --url"})
    if client["result"] == "failed":
        return failed(f"PROXY_HOPS is {hops}; {client['why']}", "set it to what there is")
    if client["result"] == "skipped":
        return by_hand(
            f"PROXY_HOPS is {hops}, as the manifest's platform has it; {client['why']}",
            "compare once: python -m deploy smoke URL --client YOUR-ADDRESS, with SMOKE_TOKEN",
        )
    return passed(f"PROXY_HOPS is {hops}, and the service sees who asks")


def connections(subject: Subject) -> Answer:
    """All processes together open no more connections than the database allows."""
    if found := subject.findings("connections"):
        return failed(f"{found[0].place}: {found[0].what}", found[0].todo)
    for kind in LASTING:
        subject.process(kind)  # raises without it
    platform = subject.manifest.platform
    opened = opened_by(subject.of_stage, platform)
    return passed(
        f"{opened} at most, of {platform.connections} that are taken as allowed;"
        " the database itself says it to: python -m service connections"
    )
