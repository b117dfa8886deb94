"""`python -m bench`: parses, calls, prints; exits 1 when a figure is over its limit."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import agree, growth, measure, packages, page, rates, report, results, scrape
from bench.cells import CELLS
from bench.client import LoadError
from bench.jobs import enqueue  # sample
from bench.jobs import measure as jobs
from bench.measure import Samples
from bench.peers import PEERS  # sample
from bench.profile import profile
from bench.report import Row
from bench.results import Results
from bench.server import ServerError
from bench.variants import BASELINE, CONTROL, VARIANTS, Variant
from bench.world import World, built

EVERY = (
    *VARIANTS,
    *PEERS,  # sample
)

# Many short rounds: on a busy machine 15 of 400 requests gave ±10 %, 40 of 150 gave ±4 %.
ROUNDS, REQUESTS = 40, 150
PARTS = (
    *(cell.name for cell in CELLS),
    "start",
    "memory",
    "scrape",
    *(("rate", "latency", "clients", "uptime", "processes") if CELLS else ()),
    "posts",  # sample
    "enqueue",  # sample
    "jobs",
)


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    main.add_argument("--rounds", type=int, default=ROUNDS, help=f"interleaved rounds ({ROUNDS})")
    main.add_argument(
        "--requests", type=int, default=REQUESTS, help=f"a cell, variant and round ({REQUESTS})"
    )
    main.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    main.add_argument("--variants", help="by name, comma-separated; B is always one of them")
    main.add_argument(
        "--quick", action="store_true", help="a quarter of it all: a first impression"
    )
    main.add_argument("--control", action="store_true", help="B against B: shows the noise")
    main.add_argument("--json", action="store_true", help="figures as JSON on stdout")
    main.add_argument("--page", action="store_true", help="write docs/performance.md from them too")
    main.add_argument(
        "--page-from", type=Path, metavar="FILE", help="write it from kept figures alone"
    )
    commands = main.add_subparsers(dest="command")
    hot = commands.add_parser("profile", help="hot spots of one cell, in process")
    hot.add_argument("cell", choices=[cell.name for cell in CELLS])
    hot.add_argument("--variant", default="ours", choices=[v.name for v in EVERY])
    hot.add_argument("--requests", type=int, default=2000)
    hot.add_argument("--lines", type=int, default=30)
    return main


def chosen(options: argparse.Namespace) -> tuple[Variant, ...]:
    if options.control:
        return CONTROL
    if options.variants is None:
        return EVERY
    names = {BASELINE.name, *options.variants.split(",")}
    return tuple(variant for variant in EVERY if variant.name in names)


def measured(world: World, options: argparse.Namespace) -> list[Samples]:
    parts, variants = options.only or PARTS, chosen(options)
    rounds, count = rounds_of(options, options.rounds), options.requests
    cells = [cell for cell in CELLS if cell.name in parts]
    # Who is brief is left out of the slow parts.
    long = [v for v in variants if not v.brief or options.control]
    samples = measure.cpu(world, variants, cells, rounds, count) if cells else []
    if "start" in parts:
        samples += measure.start(world, long, rounds_of(options, measure.STARTS))
    if "memory" in parts:
        samples += measure.memory(world, long, rounds_of(options, measure.MEMORIES))
    if "rate" in parts or "latency" in parts:
        asked = CELLS if "rate" in parts else CELLS[:1]
        samples += rates.saturated(world, long, asked, rounds_of(options, rates.ROUNDS))
    if "latency" in parts:
        most = rates.most_of_baseline(samples, CELLS[0])
        samples += rates.waited(world, long, CELLS[0], rounds_of(options, rates.ROUNDS - 1), most)
    return samples


def measured_growth(world: World, options: argparse.Namespace) -> list[Row]:
    parts, count, rows = options.only or PARTS, options.requests, []
    if options.control:
        return []
    if "clients" in parts:
        rows += growth.with_clients(world, CELLS[0], rounds_of(options, 8))
    if "uptime" in parts:
        answered = growth.ANSWERED // (4 if options.quick else 1)
        rows += growth.with_uptime(world, rounds_of(options, 20), count, answered)
    if "processes" in parts:
        variants = [variant for variant in chosen(options) if not variant.brief]
        rows += growth.with_processes(world, variants, CELLS[0])
    # sample
    if "posts" in parts:
        rows += growth.with_posts(world, rounds_of(options, 12), 4 * count)
    # end of sample
    return rows


def measured_scrapes(world: World, options: argparse.Namespace) -> list[Row]:
    if "scrape" not in (options.only or PARTS) or options.control:
        return []
    scrapes, reloads = (rounds_of(options, each) for each in (scrape.SCRAPES, scrape.RELOADS))
    return scrape.scraping(world, scrapes, reloads)


def measured_jobs(world: World, options: argparse.Namespace) -> list[Row]:
    parts, rows = options.only or PARTS, []
    # sample
    if "enqueue" in parts and not options.control:
        rows += enqueue.enqueuing(world, rounds_of(options, options.rounds), options.requests)
    # end of sample
    if "jobs" in parts and not options.control:
        rows += jobs.throughput(world, rounds_of(options, jobs.ROUNDS))
    return rows


def rounds_of(options: argparse.Namespace, rounds: int) -> int:
    """A quarter of them, for a first impression."""
    return max(1, rounds // (4 if options.quick else 1))


def everything(world: World, options: argparse.Namespace) -> Results:
    agree.checked(world, [variant for variant in chosen(options) if variant is not BASELINE])
    figures = report.rows(measured(world, options))
    figures += measured_jobs(world, options) + measured_scrapes(world, options)
    # At last: of 100,000 rows that came and went PostgreSQL cleans up for a while.
    figures += measured_growth(world, options)
    extent = f"{rounds_of(options, options.rounds)} rounds of {options.requests} requests"
    return Results(report.machine(world.postgres_version, extent), figures)


def main(arguments: Sequence[str]) -> int:
    options = (command := parser()).parse_args(arguments)
    whole = not (options.only or options.variants or options.control)
    if options.page and not whole:
        command.error("--page is of a whole run: without --only, --variants and --control")
    if options.page_from:
        page.write(results.load(options.page_from))
        return 0
    if missing := packages.missing():
        sys.exit(f"bench: {', '.join(missing)}: not installed. {packages.INSTALL}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with built() as world:
        if options.command == "profile":
            variant = next(v for v in EVERY if v.name == options.variant)
            cell = next(c for c in CELLS if c.name == options.cell)
            print(profile(world, variant, cell, options.requests, options.lines))
            return 0
        found = everything(world, options)
    found.keep(results.KEPT if whole else results.PART)
    if options.json:
        print(found.json())
    else:
        print(" · ".join(f"{key} {value}" for key, value in found.machine.items()), end="\n\n")
        print(report.table(found.figures))
    if options.page:
        page.write(found)
    return 1 if found.over else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (LoadError, ServerError) as error:
        sys.exit(f"bench: {error}")
