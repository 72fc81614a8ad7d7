"""The page's two plots as SVG text: pass@1 by selector, and what more candidates bring.

Colours and type are classes of page.css, so that the plots follow the page's theme. Sizes are in the plot's own units:
the page scales the whole.
"""

import html
import math
from collections.abc import Sequence

from rerank.reports.plots import apart
from rerank.reports.report import Suite
from rerank.selection.baselines import BASELINES

_WIDTH = 560


def selectors(suite: Suite) -> str:
    """Bars of pass@1 with 95% intervals, between the lines of the candidates' mean and the oracle."""
    rows = [row for row in suite.selectors if row.selector != "random"]  # its expectation is the mean's line
    left, right, top, step = 190, 24, 46, 30
    bottom = top + step * len(rows)

    def x(share: float) -> float:
        return left + share * (_WIDTH - left - right)

    parts = [_text(0, 16, f"pass@1 of the choice, {suite.tests} tests, % with 95% intervals", "title")]
    for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        parts.append(_line(x(share), top, x(share), bottom, "grid"))
        parts.append(_text(x(share), bottom + 17, f"{100 * share:.0f}", "tick middle"))
    for place, row in enumerate(rows):
        at, middle = row.figures.pass_at_1, top + step * (place + 0.5)
        kind = "bar baseline" if row.selector in BASELINES else "bar"
        parts.append(_text(left - 8, middle + 4, row.selector, "label end"))
        parts.append(_rect(x(0), middle - 10, x(at.value) - x(0), 20, kind))
        parts.append(_line(x(at.low), middle, x(at.high), middle, "interval"))
        parts += [_line(x(end), middle - 4, x(end), middle + 4, "interval") for end in (at.low, at.high)]
        # Beyond the interval, so that no line crosses the figure; inside the bar where there is no room.
        end = x(at.high) + 6
        parts.append(_text(end, middle + 4, f"{100 * at.value:.1f}", "value") if end < _WIDTH - 30 else "")
    # Where the two lines are close, their labels part to either side.
    is_close = suite.oracle.value - suite.mean.value < 0.3
    for share, name, side in ((suite.mean.value, "mean", "end"), (suite.oracle.value, "oracle", "start")):
        parts.append(_line(x(share), top - 6, x(share), bottom, "reference"))
        anchor = side if is_close else "middle"
        parts.append(_text(x(share), top - 11, f"{name} {100 * share:.1f}", f"tick {anchor}"))
    return _svg(bottom + 26, f"Bars: pass@1 of each selector by {suite.tests} tests; the table has the numbers", parts)


def growth(suite: Suite) -> str:
    """Expected pass@1 of the choice as candidates are added; on a log scale where there are many."""
    left, top, height = 42, 34, 250
    right = 60 + 6.5 * max(map(len, suite.growth))  # for the names at the curves' ends
    size = max(map(len, suite.growth.values()))
    shares = [share for curve in suite.growth.values() for share in curve]
    low = math.floor(max(0.0, min(shares) - 0.02) * 20) / 20
    high = math.ceil(min(1.0, max(shares) + 0.02) * 20) / 20
    is_log = size > 20

    def x(number: int) -> float:
        span = math.log(number) / math.log(size) if is_log else (number - 1) / max(1, size - 1)
        return left + span * (_WIDTH - left - right)

    def y(share: float) -> float:
        return top + height * (high - share) / (high - low)

    parts = [_text(0, 16, f"expected pass@1 by number of candidates, {suite.tests} tests, %", "title")]
    num_steps = round((high - low) * 20)
    every = 0.05 if num_steps <= 8 else 0.1 if num_steps <= 16 else 0.2
    for number in range(math.ceil(low / every - 1e-9), math.floor(high / every + 1e-9) + 1):
        parts.append(_line(left, y(number * every), x(size), y(number * every), "grid"))
        parts.append(_text(left - 6, y(number * every) + 4, f"{100 * number * every:.0f}", "tick end"))
    for number in _ticks(size, is_log=is_log):
        parts.append(_text(x(number), top + height + 17, f"{number:,}", "tick middle"))
    judged = [name for name in suite.growth if name not in ("random", "oracle")]
    colour = {name: f"c{place % 8}" for place, name in enumerate(judged)}
    heights = apart({name: -y(curve[-1]) for name, curve in suite.growth.items()}, 15)
    for name, curve in suite.growth.items():
        kind = colour.get(name, "reference")
        points = " ".join(f"{x(number):.1f},{y(share):.1f}" for number, share in enumerate(curve, 1))
        parts.append(f'<polyline class="curve {kind}" points="{points}"/>')
        end = f"{name} {100 * curve[-1]:.1f}"
        parts.append(_text(_WIDTH - right + 8, -heights[name] + 4, end, f"label {kind}"))
    return _svg(top + height + 26, f"Curves: pass@1 against candidates by {suite.tests} tests", parts)


def _ticks(size: int, *, is_log: bool) -> Sequence[int]:
    if is_log:
        return [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick <= size]
    return range(1, size + 1, 1 if size <= 10 else 2)


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{html.escape(label)}">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{html.escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
