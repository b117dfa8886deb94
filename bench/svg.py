"""Bars and lines as small SVG files: plain text, readable in light and dark, no library.

matplotlib would be the heaviest of the development dependencies, for a few rectangles.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

WIDTH, LABELS, NUMBERS, LINE = 760, 170, 190, 24  # pixels: of all, left, right, a bar with its gap
STYLE = """
text{font:14px system-ui,sans-serif;fill:#1f2328}.h{font-weight:600}.s{font-size:12px;fill:#59636e}
.bg{fill:#ffffff;stroke:#d1d9e0}.g{stroke:#d1d9e0}.l{fill:none;stroke-width:2.5}
.k0{--c:#0969da}.k1{--c:#8c959f}.k2{--c:#bf8700}.k3{--c:#1a7f37}.k4{--c:#8250df}.k5{--c:#cf222e}
.k6{--c:#0b7285}
.b{fill:var(--c)}.l{stroke:var(--c)}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.s{fill:#9198a1}.bg{fill:#0d1117;stroke:#3d444d}
.g{stroke:#3d444d}.k0{--c:#4493f8}.k1{--c:#9198a1}.k2{--c:#d29922}.k3{--c:#3fb950}.k4{--c:#ab7df8}
.k5{--c:#f85149}.k6{--c:#56d4dd}}
""".replace("\n", "")


class Bar(NamedTuple):
    label: str
    value: float
    says: str  # beside the bar
    kind: int  # of the colours


class Line(NamedTuple):
    label: str
    points: Sequence[tuple[float, float]]
    kind: int


def bars(title: str, groups: Sequence[tuple[str, Sequence[Bar]]], cap: float = math.inf) -> str:
    """Groups of horizontal bars, each group to its own scale; what is longer than `cap` times the
    group's shortest is cut there, with a gap in the bar."""
    parts, y = [], 54
    for heading, group in groups:
        most = min(max(bar.value for bar in group), cap * min(bar.value for bar in group)) or 1
        parts.append(f'<text class="h" x="16" y="{y}">{escape(heading)}</text>')
        for bar in group:
            y += LINE
            length = (WIDTH - LABELS - NUMBERS) * min(bar.value / most, 1)
            parts += [
                f'<text x="{LABELS - 8}" y="{y}" text-anchor="end">{escape(bar.label)}</text>',
                f'<rect class="b k{bar.kind}" x="{LABELS}" y="{y - 13}" height="16" rx="2"'
                f' width="{max(length, 1):.0f}"/>',
                f'<text x="{LABELS + length + 8:.0f}" y="{y}">{escape(bar.says)}</text>',
            ]
            if bar.value > most:
                x = LABELS + length - 30
                parts.append(f'<path class="bg" d="M{x:.0f} {y + 6}l8-22h7l-8 22z"/>')
        y += LINE + 14
    return picture(title, y - LINE, parts)


def lines(title: str, across: str, unit: str, curves: Sequence[Line]) -> str:
    """Curves from zero over a logarithmic axis; the names stand above, in their colours."""
    xs = sorted({x for line in curves for x, _ in line.points})
    step = round_up(max(y for line in curves for _, y in line.points) / 4)
    top = 4 * step
    left, right, above, below = 64, WIDTH - 32, 70 + 20 * math.ceil(len(curves) / 3), 0
    below = above + 200
    spread = math.log(xs[-1] / xs[0]) or 1

    def at(x: float, y: float) -> str:
        across_by = (right - left) * math.log(x / xs[0]) / spread
        return f"{left + across_by:.0f},{below - (below - above) * y / top:.0f}"

    parts = []
    for i, line in enumerate(curves):
        x, y = 16 + 245 * (i % 3), 54 + 20 * (i // 3)
        parts += [
            f'<rect class="b k{line.kind}" x="{x}" y="{y - 9}" width="14" height="8"/>',
            f'<text class="s" x="{x + 20}" y="{y}">{escape(line.label)}</text>',
        ]
    for i in range(5):
        high = below - (below - above) * i // 4
        parts += [
            f'<path class="g" d="M{left} {high}H{right}"/>',
            f'<text class="s" x="{left - 6}" y="{high + 4}" text-anchor="end">{i * step:,g}</text>',
        ]
    for tick in xs:
        place = at(tick, 0).partition(",")[0]
        parts.append(
            f'<text class="s" x="{place}" y="{below + 18}" text-anchor="middle">{tick:,.0f}</text>'
        )
    for line in curves:
        dots = [at(*point) for point in line.points]
        parts.append(f'<polyline class="l k{line.kind}" points="{" ".join(dots)}"/>')
        for across_at, _, high_at in (dot.partition(",") for dot in dots):
            parts.append(
                f'<circle class="b k{line.kind}" cx="{across_at}" cy="{high_at}" r="3.5"/>'
            )
    middle = (left + right) / 2
    parts += [
        f'<text class="s" x="16" y="{above - 12}">{escape(unit)}</text>',
        f'<text class="s" x="{middle:.0f}" y="{below + 38}" text-anchor="middle">'
        f"{escape(across)}</text>",
    ]
    return picture(title, below + 44, parts)


def round_up(value: float) -> float:
    """To what an axis is read by: 1, 2, 2.5 or 5, and noughts."""
    power = 10.0 ** math.floor(math.log10(value or 1))
    return next(power * n for n in (1, 2, 2.5, 5, 10) if power * n >= value)


def picture(title: str, height: float, parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height + 10:.0f}" '
    body = "\n".join(parts)
    return (
        f'{head}role="img">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n'
        f'<rect class="bg" x=".5" y=".5" width="{WIDTH - 1}" height="{height + 9:.0f}" rx="6"/>\n'
        f'<text class="h" x="16" y="26">{escape(title)}</text>\n{body}\n</svg>\n'
    )
