"""What a training shows of itself while it runs: an evaluation's figures in a line, and its curves as a picture."""

from pathlib import Path

from rerank.store import Row, read_rows


def figures_line(row: Row) -> str:
    """The figures that one looks at while it trains."""
    programs = row.get("samples", row)
    names = ("pair_accuracy", "pick_rate", "pick_rate_random", "calibration_error")
    parts = [f"{name.replace('_', ' ')} {programs[name]:.3f}" for name in names if programs.get(name) is not None]
    for mode in {"pairwise", "encoded-once"} & set(row):
        parts.append(f"{mode} {row[mode]['pair_accuracy']:.3f}")
    parts += [f"{task} {value['accuracy']:.3f}" for task, value in row.get("judgments", {}).items()]
    return ", ".join(parts) or "has nothing to compare"


def draw(out: Path) -> None:
    """Loss and dev figures against steps."""
    from matplotlib.figure import Figure

    log = [row for _, row in read_rows(out / "log.jsonl")]
    dev = [row for _, row in read_rows(out / "dev.jsonl")]
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in ("answer_loss", "ranking_loss", "verdict_loss", "preference_loss"):
        rows = [row for row in log if name in row]
        if rows:
            left.plot([row["step"] for row in rows], [row[name] for row in rows], label=name.replace("_", " "))
    for name in ("pair_accuracy", "pick_rate", "pick_rate_random", "calibration_error"):
        rows = [row for row in dev if row.get("samples", row).get(name) is not None]
        if rows:
            values = [row.get("samples", row)[name] for row in rows]
            right.plot([row["step"] for row in rows], values, marker="o", label=name.replace("_", " "))
    for axes, title in ((left, "training loss (nats)"), (right, "dev")):
        axes.set(title=title, xlabel="step")
        if axes.lines:
            axes.legend()
    figure.savefig(out / "curves.png", dpi=120)
