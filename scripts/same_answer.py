"""Does a program's score depend on what is judged beside it? Bit by bit, on this machine.

    python scripts/same_answer.py --autorater rerank-0.5b --out same_answer.json

Scores and every ordered pair's verdict, encoded-once, of the shipped candidates of HumanEval: all problems together,
then in another order, a third of them, every eighth alone, and with passes of other lengths, each against the first.
"""

import json
import random
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import transformers
import typer

from rerank import load_problems, prompts
from rerank.backends.engines import open_engine
from rerank.backends.interface import Contest, ContestLogOdds, EngineOptions
from rerank.candidates.files import by_problem, read_candidates
from rerank.errors import one_line
from rerank.models import shipped

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
Found = dict[int, ContestLogOdds]  # by the problem's place


def contests(limit: int | None) -> list[Contest]:
    problems = load_problems("humaneval")
    groups = by_problem(read_candidates(str(shipped.shipped(shipped.CANDIDATES)), problems))
    made = []
    for problem in problems[:limit]:
        programs = {c.key: c.program for c in groups[problem.task_id] if c.key}.values()
        pairs = list(permutations(range(len(programs)), 2))
        made.append(Contest([prompts.pointwise(problem.public, text) for text in programs], partial(_all, pairs)))
    return made


def _all(pairs: list[tuple[int, int]], _points: Sequence[float]) -> list[tuple[int, int]]:
    return pairs


def judged(engine: Any, asked: Sequence[Contest], order: Sequence[int]) -> Found:
    return dict(zip(order, engine.contest_log_odds(asked[place] for place in order), strict=True))


def compared(first: Found, second: Found) -> dict[str, Any]:
    """The scores and verdicts of the problems in both, and the picks by score."""
    places = sorted(set(first) & set(second))

    def apart(values: Any) -> np.ndarray:
        ours, theirs = ([x for place in places for x in values(found[place])] for found in (first, second))
        return np.abs(np.array(ours, float) - np.array(theirs, float))

    def best(found: ContestLogOdds) -> int:
        return int(np.argmax([answer.log_odds or 0.0 for answer in found.points]))

    points, verdicts = apart(lambda f: [answer.log_odds for answer in f.points]), apart(lambda f: f.verdicts)
    return {
        "problems": len(places),
        "scores": len(points),
        "scores_changed": int((points > 0).sum()),
        "largest_of_scores": float(points.max(initial=0)),
        "verdicts": len(verdicts),
        "verdicts_changed": int((verdicts > 0).sum()),
        "largest_of_verdicts": float(verdicts.max(initial=0)),
        "picks_changed": sum(best(first[place]) != best(second[place]) for place in places if first[place].points),
    }


def measure(autorater: str, asked: Sequence[Contest], lengths: Sequence[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    places = list(range(len(asked)))
    turned = random.Random(0).sample(places, len(places))
    engine = open_engine("transformers", autorater)
    together = judged(engine, asked, places)
    yield "again", compared(together, judged(engine, asked, places))
    yield "in another order", compared(together, judged(engine, asked, turned))
    yield "every third", compared(together, judged(engine, asked, places[::3]))
    alone: Found = {}
    for place in places[::8]:
        alone |= judged(engine, asked, [place])
    yield "every eighth, alone", compared(together, alone)
    engine.close()
    for length in lengths:
        other = open_engine("transformers", autorater, EngineOptions(max_batch_tokens=length))
        yield f"in another order, passes of {length:,} tokens", compared(together, judged(other, asked, turned))
        other.close()


@app.command(help=__doc__)
def main(
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    autorater: Annotated[str, typer.Option(help="A scorer, or a model.")] = "rerank-0.5b",
    length: Annotated[list[int] | None, typer.Option(help="Tokens of a pass; may be given again.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only this many problems.")] = None,
) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    document: dict[str, Any] = {"autorater": autorater, "device": device, "versions": versions, "rows": {}}
    for name, row in measure(autorater, contests(limit), length or [2048, 4096, 8192]):
        document["rows"][name] = row
        changed = (
            f"{row['scores_changed']} of {row['scores']:,} scores, {row['verdicts_changed']} of {row['verdicts']:,}"
        )
        print(f"{name}: {changed} verdicts, {row['picks_changed']} of {row['problems']} picks differ", file=sys.stderr)
        out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with one_line():
        app()
