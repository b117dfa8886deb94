"""Of the manifests: they are right, all that must run runs, and the schema comes first."""

from deploy import check
from deploy.manifest import LASTING, Process
from deploy.readiness.answers import Answer, by_hand, failed, passed
from deploy.readiness.subject import Subject
from deploy.rules import RULES
from deploy.targets import TARGETS


def manifests(subject: Subject) -> Answer:
    """What the manifests say is what the service and the platform need."""
    of_stage = subject.of_stage  # raises for what cannot be read
    if subject.target in TARGETS:
        table = check.check(subject.root, subject.target, subject.schemas)
        found = [one for each in table.values() if not isinstance(each, str) for one in each]
        unseen = [name for name, each in table.items() if each == check.SKIPPED]
    else:
        found = [one for rule in RULES.values() for one in rule(subject.manifest)]
        unseen = ["collisions", "schema"]
    if wrong := [one for one in found if not one.warns]:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return failed(f"{wrong[0].place}: {wrong[0].what}{more}", wrong[0].todo)
    looked = len(RULES) + 2 - len(unseen)
    skipped = f"; nothing to look at for {', '.join(unseen)}" if unseen else ""
    return passed(f"{looked} rules find nothing wrong from {of_stage.place.file} on{skipped}")


def processes(subject: Subject) -> Answer:
    """web, worker and scheduler run, and migrate is known."""
    there = subject.of_stage.processes
    if missing := [kind for kind in (*LASTING, "migrate") if kind not in there]:
        where = subject.of_stage.place
        return failed(
            f"{where}: no {', '.join(missing)}", f"add it: python -m service {missing[0]}"
        )
    if idle := [k for k in LASTING if (least := there[k].least) is not None and least.value < 1]:
        place = there[idle[0]].least or there[idle[0]]
        return failed(f"{place}: no {idle[0]} is started", "1 at least")
    return passed(", ".join(f"{kind} {_count(there[kind])}".rstrip() for kind in LASTING))


def instances(subject: Subject) -> Answer:
    """There is more than one web: one may go, and users are served."""
    web = subject.process("web")
    if web.least is None:
        return by_hand(
            f"{web.place.file} does not say how many web there are", "see that there are 2 or more"
        )
    least = int(web.least.value)
    if least < 1:
        return failed(f"{web.least.place}: no web runs", "2 or more")
    if least == 1 and subject.stage == "production":
        return by_hand(
            f"{web.least.place}: one web: nobody is served while it is started again",
            "decide whether that will do; else 2 or more there",
        )
    return passed(f"{web.least.place}: {_count(web)}")


def schema_first(subject: Subject) -> Answer:
    """The schema is migrated before a new version takes requests."""
    if (place := subject.of_stage.migrates_first) is None:
        finding = next(iter(subject.findings("migration")))
        return failed(f"{finding.place}: {finding.what}", finding.todo)
    return passed(f"{place}")


def _count(process: Process) -> str:
    """How many there are, as far as the manifest says."""
    counts = [str(int(each.value)) for each in (process.least, process.instances) if each]
    return " to ".join(dict.fromkeys(counts))
