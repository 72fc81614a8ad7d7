"""Fit the posterior that joins all evidence, on the dev split of the training problems, and say what each part adds.

\b
    python scripts/fit_posterior.py --problems problems.jsonl.gz --labels labels.jsonl.gz --samples samples.jsonl.gz \\
        --scores results/trained_0.5b/dev/shipped --tests tests.jsonl.gz --work runs/posterior

Of `--problems` (as `sample_and_label.py problems` writes them) only those of the split dev are looked at. Each file of
`--samples` is one generator's candidates; `--labels` says which are right; `--scores` is a training run's folder with
`dev_scores.jsonl` and `scorer/scorer.json`; `--comparisons` the same scorer's verdicts on pairs of them, as a run
folder has them; each file of `--tests` what one kind of writer wrote (see rerank.evidence.writers): a problem is looked
at with the tests of each, so that the fit serves them all. The evidence is gathered in the sandbox, in journals below
`--work`, so that a killed run goes on where it stopped. What is missing is left out: without `--tests`, say, there is
no regression that knows of written tests.

The model goes to `--out`, by default the file that ships; a table of cross-validated figures to standard output. With
`--likelihoods`, what a reviewer read of the candidates as a run folder has it, a second table says what that would add;
the model does not know of it.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import sandbox
from rerank.candidates.files import read_candidates
from rerank.candidates.programs import program_key
from rerank.errors import InputError, one_line
from rerank.evidence import examples, gathering
from rerank.evidence.gathering import TaskTrials
from rerank.evidence.likelihoods import Read, from_rows
from rerank.evidence.record import log_odds_by_key
from rerank.evidence.test_writers import read_answers
from rerank.problems.benchmarks import load_problems
from rerank.records import Comparison
from rerank.runs.folder import KEYS
from rerank.selection import fitting, posterior
from rerank.selection.fitting import Figures, Instance, cross_validate, subsets
from rerank.store import Journal, file_hash, read_rows
from rerank.training.labels.rows import Label, read_labels

_MOST = 0.5  # of one generator's programs: below it what was judged of them is left out

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def fit(
    problems: Annotated[Path, typer.Option(help="Training problems, with split and group.")],
    labels: Annotated[list[Path], typer.Option(help="Labelled programs of them; repeatable.")],
    samples: Annotated[list[Path], typer.Option(help="Candidates of one generator; repeatable.")],
    work: Annotated[Path, typer.Option(help="Folder for the journals.")],
    scores: Annotated[Path | None, typer.Option(help="Folder of a training run, for the autorater's scores.")] = None,
    comparisons: Annotated[Path | None, typer.Option(help="Verdicts on pairs: JSONL, the same scorer's.")] = None,
    likelihoods: Annotated[Path | None, typer.Option(help="A reviewer's, to see what they would add: JSONL.")] = None,
    tests: Annotated[list[Path] | None, typer.Option(help="Tests by one kind of writer; repeatable.")] = None,
    out: Annotated[Path, typer.Option(help="The model's file.")] = posterior.MODEL,
    workers: Annotated[int | None, typer.Option(min=1, help="Programs executed at a time.")] = None,
) -> None:
    work.mkdir(parents=True, exist_ok=True)
    group_of = {row["task_id"]: row["group"] for _, row in read_rows(problems) if row["split"] == "dev"}
    dev = [problem for problem in load_problems(problems) if problem.task_id in group_of]
    if not dev:
        raise InputError("has no problem of the split dev", path=problems)
    known = [label for label in read_labels(labels) if label.task_id in group_of]
    right = {(label.task_id, key): label.right for label in known if (key := program_key(label.program))}
    judged = _scores(scores, known) if scores else {}
    played = _comparisons(comparisons) if comparisons else {}
    read = _read(likelihoods) if likelihoods else {}
    writers = [read_answers(path, dev) for path in tests or ()]
    found = []
    for path in samples:
        drawn = [each for each in read_candidates(path, load_problems(problems), allow_missing=True)
                 if each.task_id in group_of]  # fmt: skip
        with (
            sandbox.Pool(workers=workers) as pool,
            Journal(work / "examples.jsonl", key=KEYS["examples"]) as shown,
            Journal(work / "trials.jsonl", key=KEYS["trials"]) as trials,
        ):
            public = [problem.public for problem in dev]
            shares = examples.judge(public, drawn, pool=pool, journal=shown)
            tried = [gathering.gather(public, drawn, each, pool=pool, journal=trials) for each in writers or [{}]]
            verdicts = _verdicts(shown)
        # Another generator's samples were not judged, but for the programs that both wrote.
        own = {(each.task_id, each.key) for each in drawn if each.key is not None}
        compared = {(task, key) for task, each in played.items() for one in each for key in (one.first, one.second)}
        has_scores = sum(key in judged.get(task_id, {}) for task_id, key in own) > _MOST * len(own)
        has_comparisons = len(own & compared) > _MOST * len(own)
        by_writer = [
            gathering.evidence_by_task(
                group_of,
                trials=each,
                examples={task_id: log_odds_by_key(of_task) for task_id, of_task in shares.items()},
                scores=judged if has_scores else None,
                comparisons=played if has_comparisons else None,
                likelihoods=read,
            )
            for each in tried
        ]
        evidence = {
            problem.task_id: [by_writer[place][problem.task_id] for place in _who_wrote(tried, problem.task_id)]
            for problem in dev
        }
        found += fitting.instances(drawn, evidence, right, group_of, verdicts)
    regressions = posterior.fit([case for each in found for case in each.cases])
    inputs = [problems, *labels, *samples, *([comparisons] if comparisons else []), *(tests or [])]
    about = {
        "files": {path.name: file_hash(path)[:16] for path in inputs},
        "scores": str(scores.name) if scores else None,
        "num_problems": len({each.task_id for each in found}),
    }
    present = [group for group in posterior.GROUPS if (group,) in regressions]
    rows = {"+".join(groups): figures for groups in subsets(present) if (figures := cross_validate(found, groups))}
    about["cross_validation"] = {name: asdict(figures) for name, figures in rows.items()}
    posterior.write_model(out, posterior.Model(regressions, fitting.separation(found)), about)
    print(_table(rows))
    if read:
        print("", _gains(found, present), sep="\n")


def _scores(run: Path, labels: list[Label]) -> dict[str, dict[str, float | None]]:
    """The autorater's calibrated log-odds by task_id and key. A row has no program in it: its log-probability tells."""
    card = json.loads((run / "scorer" / "scorer.json").read_text(encoding="utf-8"))
    temperature = card["temperature"]["pointwise"]
    path = next(iter(sorted(run.glob("dev_scores.jsonl*"))), run / "dev_scores.jsonl")
    by_mean: dict[tuple[str, float], float] = {}
    for _, row in read_rows(path):
        for mean, value in zip(row["mean_log_probability"], row["log_odds"], strict=True):
            if mean is not None:
                by_mean[row["task_id"], mean] = value / temperature
    found: dict[str, dict[str, float | None]] = {}
    for label in labels:
        value = by_mean.get((label.task_id, label.mean_log_probability or 0.0))
        key = program_key(label.program)
        if value is not None and key is not None and label.origin == "sample":
            found.setdefault(label.task_id, {})[key] = value
    return found


def _comparisons(path: Path) -> dict[str, list[Comparison]]:
    found: dict[str, list[Comparison]] = {}
    for line, row in read_rows(path):
        try:
            verdict = Comparison(row["task_id"], row["first"], row["second"], row["log_odds"])
        except KeyError as error:
            raise InputError(
                f"no {error}: a comparison has task_id, first, second, log_odds", path=path, line=line
            ) from error
        found.setdefault(verdict.task_id, []).append(verdict)
    return found


def _read(path: Path) -> dict[str, dict[str, Read]]:
    rows = []
    for line, row in read_rows(path):
        try:
            from_rows([row])
        except KeyError as error:
            raise InputError(f"no {error}: not a row of a run's likelihoods.jsonl", path=path, line=line) from error
        rows.append(row)
    return from_rows(rows)


def _who_wrote(tried: Sequence[TaskTrials], task_id: str) -> list[int]:
    """The places of the writers that have tests for a problem; the first, without tests, where none has."""
    return [place for place, each in enumerate(tried) if task_id in each.written] or [0]


def _verdicts(journal: Journal) -> fitting.Verdicts:
    found: dict[str, dict[str, dict[str, bool]]] = {}
    for row in journal.rows.values():
        found.setdefault(row["task_id"], {}).setdefault(row["program"], {})[row["example"]] = row["passed"]
    return found


def _table(rows: Mapping[str, Figures]) -> str:
    lines = [
        "| evidence | problems | of them mixed | random | pick rate | nll | calibration error |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        rate = f"{row.pick_rate.value:.3f} ({row.pick_rate.low:.3f} to {row.pick_rate.high:.3f})"
        lines.append(
            f"| {name} | {row.num_problems} | {row.num_mixed} | {row.random:.3f} | {rate} "
            f"| {row.negative_log_likelihood:.3f} | {row.calibration_error:.3f} |"
        )
    return "\n".join(lines)


def _gains(found: Sequence[Instance], present: Sequence[str]) -> str:
    """What a reviewer's likelihoods add to nothing, to what else a model says of a program, and to all."""
    lines = ["| likelihood | beside | problems | of them mixed | pick rate | nll |", "|---|---|---|---|---|---|"]
    beside = [(), *((group,) for group in ("log-probability", "scores") if group in present), tuple(present)]
    for groups, name in itertools.product(beside, fitting.LIKELIHOODS):
        if row := fitting.gain(found, groups, name):
            rate, loss = (
                f"{each.value:+.3f} ({each.low:+.3f} to {each.high:+.3f})"
                for each in (row.pick_rate, row.negative_log_likelihood)
            )
            shown = "+".join(groups) or "nothing"
            lines.append(f"| {name} | {shown} | {row.num_problems} | {row.num_mixed} | {rate} | {loss} |")
    return "\n".join(lines)


if __name__ == "__main__":
    with one_line():
        app()
