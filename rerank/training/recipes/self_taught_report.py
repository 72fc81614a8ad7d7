"""What the rounds of a self-taught judge came to: a table and a plot of the rows of rounds.json."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rerank.store import Row


def table(rounds: Sequence[Row]) -> str:
    """Rounds of all seeds, one row each, and with several seeds the mean of each round."""
    heads = ["round", "seed", "sampled", "right", "kept", "dev right", "majority", "both orders", "names A", "unparsed"]
    heads += ["picks right", "by chance"]
    widths = [max(len(head), 5) for head in heads]
    widths[5:7] = [22, 22]
    widths[10] = 22
    lines = ["  ".join(head.rjust(width) for head, width in zip(heads, widths, strict=True))]
    for row in rounds:
        dev, picks = row["dev"], row["picks"]
        cells = [str(row["number"]), str(row["seed"]), f"{row['num_sampled']:,}", _share(row["train_right"])]
        cells += [f"{row['num_kept']:,}", _interval(dev["right"]), _interval(dev["majority"])]
        cells += [_value(dev[name]) for name in ("both_orders", "names_a", "unparsed")]
        cells += [_interval(picks["pick_rate"]), _share(picks["random"])]
        lines.append("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)))
    seeds = {row["seed"] for row in rounds}
    if len(seeds) > 1:
        lines.append(f"\nmean over {len(seeds)} seeds (lowest to highest)")
        for number in sorted({row["number"] for row in rounds}):
            same = [row for row in rounds if row["number"] == number]
            parts = []
            for what, estimates in (
                ("dev right", [row["dev"]["right"] for row in same]),
                ("majority", [row["dev"]["majority"] for row in same]),
                ("picks right", [row["picks"]["pick_rate"] for row in same]),
            ):
                values = [100 * each["value"] for each in estimates if each is not None]
                if values:
                    mean = sum(values) / len(values)
                    parts.append(f"{what} {mean:.1f} ({min(values):.1f} to {max(values):.1f})")
            lines.append(f"  round {number}: {', '.join(parts)}")
    return "\n".join(lines) + "\n"


def plot(runs: Mapping[str, Sequence[Row]], path: Path) -> None:
    """Agreement with execution and picks by round: a line per run, the mean over its seeds, and a dot per seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = {
        "judgments that agree with execution": lambda row: row["dev"]["right"],
        "majority that agrees": lambda row: row["dev"]["majority"],
        "picks that are right": lambda row: row["picks"]["pick_rate"],
    }
    for axes, (title, read) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for name, rounds in runs.items():
            values: dict[int, list[float]] = {}
            for row in rounds:
                if (estimate := read(row)) is not None:
                    values.setdefault(row["number"], []).append(100 * estimate["value"])
            numbers = sorted(values)
            [line] = axes.plot(numbers, [sum(values[n]) / len(values[n]) for n in numbers], label=name)
            dots = [(number, value) for number in numbers for value in values[number]]
            axes.scatter(*zip(*dots, strict=True), s=12, color=line.get_color())
        axes.set(title=title, xlabel="round", ylabel="per cent")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    figure.savefig(path, dpi=120)


def _value(estimate: Row | None) -> str:
    return "" if estimate is None else f"{100 * estimate['value']:.1f}"


def _interval(estimate: Row | None) -> str:
    if estimate is None:
        return ""
    return f"{100 * estimate['value']:.1f} ({100 * estimate['low']:.1f} to {100 * estimate['high']:.1f})"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"
