"""What was measured, kept in .bench/: so that the page can be made again without measuring."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.report import Row
from bench.variants import ROOT

KEPT = ROOT / ".bench" / "results.json"
PART = KEPT.with_name("part.json")  # of a run that measured some of it: it takes no place


@dataclass(frozen=True)
class Results:
    machine: dict[str, str]
    figures: list[Row]

    @property
    def over(self) -> bool:
        return any(figure.over for figure in self.figures)

    def of(self, cell: str) -> list[Row]:
        return [figure for figure in self.figures if figure.cell == cell]

    def json(self) -> str:
        return json.dumps(
            {"machine": self.machine, "figures": [asdict(f) for f in self.figures]}, indent=2
        )

    def keep(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.json() + "\n")


def load(path: Path) -> Results:
    read = json.loads(path.read_text())
    figures = []
    for figure in read["figures"]:
        between = figure.pop("interval")
        figures.append(Row(**figure, interval=between and (between[0], between[1])))
    return Results(read["machine"], figures)
