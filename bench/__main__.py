"""`python -m bench`: parses, calls, prints; exits 1 when a figure is over its limit."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict

from bench import measure, report, scrape
from bench.cells import CELLS
from bench.client import LoadError
from bench.jobs import enqueue  # sample
from bench.jobs import measure as jobs
from bench.measure import Samples
from bench.profile import profile
from bench.server import ServerError
from bench.variants import BASELINE, CONTROL, VARIANTS, Variant
from bench.world import World, built

# Many short rounds: on a busy machine 15 of 400 requests gave ±10 %, 40 of 150 gave ±4 %.
ROUNDS, REQUESTS = 40, 150
PARTS = (
    *(cell.name for cell in CELLS),
    "start",
    "memory",
    "scrape",
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
    commands = main.add_subparsers(dest="command")
    hot = commands.add_parser("profile", help="hot spots of one cell, in process")
    hot.add_argument("cell", choices=[cell.name for cell in CELLS])
    hot.add_argument("--variant", default="ours", choices=[v.name for v in VARIANTS])
    hot.add_argument("--requests", type=int, default=2000)
    hot.add_argument("--lines", type=int, default=30)
    return main


def chosen(options: argparse.Namespace) -> tuple[Variant, ...]:
    if options.control:
        return CONTROL
    if options.variants is None:
        return VARIANTS
    names = {BASELINE.name, *options.variants.split(",")}
    return tuple(variant for variant in VARIANTS if variant.name in names)


def measured(world: World, options: argparse.Namespace) -> list[Samples]:
    parts, variants = options.only or PARTS, chosen(options)
    rounds, count = max(1, options.rounds // (4 if options.quick else 1)), options.requests
    cells = [cell for cell in CELLS if cell.name in parts]
    # What has no limit there is left out of the slow parts.
    held = [v for v in variants if v is BASELINE or "start" in v.limits or options.control]
    samples = measure.cpu(world, variants, cells, rounds, count) if cells else []
    if "start" in parts:
        samples += measure.start(world, held, times=3 if options.quick else measure.STARTS)
    if "memory" in parts:
        samples += measure.memory(world, held, times=1 if options.quick else measure.MEMORIES)
    return samples


def measured_jobs(world: World, options: argparse.Namespace) -> list[report.Row]:
    parts, share = options.only or PARTS, 4 if options.quick else 1
    rows = []
    # sample
    if "enqueue" in parts and not options.control:
        rows += enqueue.enqueuing(world, max(1, options.rounds // share), options.requests)
    # end of sample
    if "jobs" in parts and not options.control:
        rows += jobs.throughput(world, max(1, jobs.ROUNDS // share))
    return rows


def measured_scrapes(world: World, options: argparse.Namespace) -> list[report.Row]:
    if "scrape" not in (options.only or PARTS) or options.control:
        return []
    share = 4 if options.quick else 1
    return scrape.scraping(world, scrape.SCRAPES // share, scrape.RELOADS // share)


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with built() as world:
        if options.command == "profile":
            variant = next(v for v in VARIANTS if v.name == options.variant)
            cell = next(c for c in CELLS if c.name == options.cell)
            print(profile(world, variant, cell, options.requests, options.lines))
            return 0
        figures = report.rows(measured(world, options)) + measured_jobs(world, options)
        figures += measured_scrapes(world, options)
        machine = report.machine(world.postgres_version)
    if options.json:
        print(json.dumps({"machine": machine, "figures": [asdict(f) for f in figures]}, indent=2))
    else:
        print(" · ".join(f"{key} {value}" for key, value in machine.items()), end="\n\n")
        print(report.table(figures))
    return 1 if any(figure.over for figure in figures) else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (LoadError, ServerError) as error:
        sys.exit(f"bench: {error}")
