"""The made part of docs/performance.md, and its pictures.

Only that part: what stands around it is written by people, and so is what follows from it.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench import report, svg
from bench.growth import LIMIT
from bench.report import Row
from bench.results import Results
from bench.svg import Bar, Line
from bench.variants import BASELINE, OURS, ROOT

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- made by make bench -->", "<!-- end of what make bench made -->"
CAP = 6.0  # times the shortest bar, where waiting knows no bound

# Colours of svg.py; B and what is not named is grey. SECOND: of a server's second line.
KINDS = {
    "ours": 0,
    "ours+sentry": 0,
    "ours+traces": 6,
    "FastAPI async": 2,
    "Django + DRF": 3,
    "FastAPI": 4,
    "Flask + extensions": 5,
}
SECOND = {BASELINE.name: 2, OURS.name: 3}
GREY = 1
Made = Iterator[tuple[str, str, str]]  # a picture's name, the words before it, the picture


def write(results: Results, page: Path = PAGE) -> None:
    """Put what was measured into the page. Raises ValueError if it has no place for it."""
    text = page.read_text()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks {BEGIN} or {END}")
    pictures = page.parent / page.stem
    pictures.mkdir(exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    made = [*opening(results)]
    for section in SECTIONS:
        for name, words, picture in section(results):
            (pictures / f"{name}.svg").write_text(picture)
            title = picture.partition("<title>")[2].partition("</title>")[0]
            made += ["", words, "", f"![{title}]({page.stem}/{name}.svg)"]
    made += ["", "### All figures", "", "```text", report.table(results.figures), "```"]
    page.write_text(f"{head}{BEGIN}\n" + "\n".join(made) + f"\n{END}{tail}")


def opening(results: Results) -> Iterator[str]:
    machine = results.machine
    yield (
        f"Measured on {machine['measured']}: {machine['cpu']}, {machine['memory']} of memory, "
        f"{machine['system']}, Python {machine['python']}, PostgreSQL {machine['postgresql']}; "
        f"{machine['extent']}. Clients, servers and database share these processors."
    )
    ours = {row.cell: row for row in results.figures if row.variant == OURS.name}
    stack = {row.cell: row for row in results.figures if row.variant == "Flask + extensions"}
    cells = [(cell, ours[cell].label) for cell in ("read", "list", "insert") if cell in ours]
    if cells:
        costs = ", ".join(f"{label} {ours[cell].ratio:.2f}" for cell, label in cells)
        yield from ("", f"**A request of ours, with everything on, costs of B's CPU: {costs}.**")
    if cells and all(cell in stack for cell, _ in cells):
        costs = ", ".join(f"{stack[cell].ratio:.2f}" for cell, _ in cells)
        yield f"**The usual extensions, which do the same, cost {costs}.**"


def kind(variant: str) -> int:
    return KINDS.get(variant, GREY)


def shown(variant: str) -> str:
    return "B: bare Flask" if variant == BASELINE.name else variant


def group(heading: str, rows: Sequence[Row]) -> tuple[str, list[Bar]]:
    return heading, [
        Bar(
            shown(row.variant),
            row.value,
            f"{row.value:,.0f} {row.unit}"
            + ("" if row.variant == BASELINE.name else f" · {row.ratio:.2f} × B"),
            kind(row.variant),
        )
        for row in rows
    ]


def groups(results: Results, *cells: str) -> list[tuple[str, list[Bar]]]:
    return [group(rows[0].label, rows) for cell in cells if (rows := results.of(cell))]


def cpu(results: Results) -> Made:
    if found := groups(results, "read", "list", "insert"):
        yield (
            "cpu",
            "### What a request costs the server\n\nµs of CPU of all its processes, per request:"
            " what a machine is paid for. Shorter is better.",
            svg.bars("CPU of the server per request (shorter is better)", found),
        )
    if found := groups(results, "read-database", "list-database", "insert-database"):
        yield (
            "database",
            "… and PostgreSQL, all its processes: a statement that need not be sent is saved here.",
            svg.bars("CPU of PostgreSQL per request (shorter is better)", found),
        )


def rate(results: Results) -> Made:
    if found := groups(results, "rate-read", "rate-list", "rate-insert"):
        yield (
            "rate",
            "### How many requests at most\n\n16 clients that ask without pause. They run on the"
            " same processors, so the differences are smaller than those of the CPU.",
            svg.bars("Requests per second, two processes (longer is better)", found),
        )
    shares = sorted({row.cell for row in results.figures if row.cell.startswith("p99-")})
    if found := groups(
        results, *(f"{p}-{s.partition('-')[2]}" for s in shares for p in ("p50", "p99"))
    ):
        yield (
            "latency",
            "### How long a client waits\n\nRequests come at a fixed rate, as independent users"
            " send them, and each one's time counts from when it was due: nobody is asked less for"
            " being slow. The rate is a share of what B can do at most. A bar with a gap is longer"
            " than drawn: such a server cannot keep up, and its clients wait ever longer.",
            svg.bars("Latency at a fixed rate (shorter is better)", found, CAP),
        )


def size(results: Results) -> Made:
    if found := groups(results, "memory", "start"):
        yield (
            "size",
            "### Memory and start\n\nMiB of all processes after a load, shared pages in proportion;"
            " ms from the start of the program to the first answer.",
            svg.bars("Memory, and time to the first answer (shorter is better)", found),
        )


def curves(rows: Sequence[Row]) -> list[Line]:
    """The rows of one growth as lines: a line for each server and what it was asked for."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        assert row.at is not None
        key = row.variant.rpartition(", ")[0], row.label.rpartition(", ")[0]
        found.setdefault(key, []).append((row.at, row.value))
    several = len({label for _, label in found}) > 1
    made: list[Line] = []
    for (variant, label), points in found.items():
        name = f"{shown(variant)}, {label}" if several else shown(variant)
        used = {line.kind for line in made}
        made.append(Line(name, points, SECOND[variant] if kind(variant) in used else kind(variant)))
    return made


# What grows: its words, the title of its picture, what it grows with, and the unit.
GROWTH = (
    (
        "posts",
        "### What grows\n\nFlat is good: with rows, clients and requests answered before, CPU per"
        f" request of ours may grow to {LIMIT} times its first value, or `make bench` fails.",
        "CPU of the server per request, by posts in the table (flat is good)",
        ("posts in the table", "µs"),
    ),
    (
        "clients",
        "With the clients that ask at once:",
        "CPU of the server per request, by clients (flat is good)",
        ("clients at once", "µs"),
    ),
    (
        "processes",
        "Requests per second with the processes, as far as there are processors for them and for"
        " the clients:",
        "Requests per second at most, by processes (steep is good)",
        ("processes", "requests/s"),
    ),
)


def growth(results: Results) -> Made:
    for name, words, title, (across, unit) in GROWTH:
        if rows := results.of(f"growth-{name}"):
            yield f"growth-{name}", words, svg.lines(title, across, unit, curves(rows))
    if rows := results.of("uptime"):
        found: dict[str, list[Bar]] = {}
        for row in rows:
            answered = row.variant.partition(", ")[2]
            label = f"after {answered}" if row.at else "fresh"
            bar = Bar(label, row.value, f"{row.value:,.0f} {row.unit}", kind(OURS.name))
            found.setdefault(row.label.rpartition(", ")[0], []).append(bar)
        yield (
            "uptime",
            "With the requests that a server has answered before:",
            svg.bars("CPU per request of ours, fresh and in use", list(found.items())),
        )


def jobs(results: Results) -> Made:
    best = {row.variant: row for row in results.of("jobs")}  # each system once
    bars = [
        Bar(name, 1e6 / row.value, f"{1e6 / row.value:,.0f} jobs/s", kind(name))
        for name, row in sorted(best.items(), key=lambda pair: pair[1].value)
    ]
    if bars:
        yield (
            "jobs",
            "### Jobs\n\nJobs that do nothing, handed over one by one by one process and run by"
            " two. Ours are rows of a transaction, committed before they are handed over; the"
            " others are sent beside it, and lost when that fails.",
            svg.bars("Jobs per second, end to end (longer is better)", [("no-op jobs", bars)]),
        )


SECTIONS: tuple[Callable[[Results], Made], ...] = (cpu, rate, size, growth, jobs)
