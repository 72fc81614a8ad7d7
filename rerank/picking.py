"""The best of some solutions to one problem: `rerank pick`, and the way into somebody else's pipeline.

with Ranker() as ranker:                                  # loads its model once, at the first problem
    candidates, ranking = ranker.rank(problem, ["def f(x): ...", "```python ..."])
    candidates[ranking.best].program
"""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import sandbox
from rerank import judging, programs, scorers, selection, shipped
from rerank.aggregation import AGGREGATES
from rerank.autoraters import open_autorater
from rerank.backends import Engine, EngineOptions
from rerank.baselines import BASELINES
from rerank.candidates import SHAPES
from rerank.errors import InputError, SettingError
from rerank.evidence import examples, gathering
from rerank.records import Candidate, PromptKind, PublicProblem, Ranking
from rerank.run import KEYS
from rerank.selection import NEED_TESTS, Evidence
from rerank.settings import ScoreSettings
from rerank.store import Journal, read_rows
from rerank.tournaments import TOURNAMENTS


class Ranker:
    """Ranks the solutions of one problem at a time; the model is loaded once, by the first that needs it."""

    def __init__(self, settings: ScoreSettings | None = None, options: EngineOptions | None = None):
        self.settings = settings or ScoreSettings(shipped.DEFAULT_AUTORATER)
        self._options = options
        self._engine: Engine | None = None
        self._card = scorers.read_card(self.settings.autorater, options.weights if options else None)

    def rank(self, problem: PublicProblem, solutions: Sequence[str]) -> tuple[list[Candidate], Ranking]:
        """Candidates in the order of `solutions` (texts of any shape that `programs.extract` reads) and their ranking.

        Raises SettingError without a solution, and what `open_engine` raises.
        """
        if not solutions:
            raise SettingError("no candidate to pick from")
        found = [programs.extract(problem, text) for text in solutions]
        candidates = [
            Candidate(problem.task_id, index, text, each.program, programs.program_key(each.program), each.cuts)
            for index, (text, each) in enumerate(zip(solutions, found, strict=True))
        ]
        return candidates, self._rank(problem, candidates)

    def close(self) -> None:
        if self._engine:
            self._engine.close()

    def __enter__(self) -> "Ranker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rank(self, problem: PublicProblem, candidates: list[Candidate]) -> Ranking:
        settings, groups = self.settings, {problem.task_id: candidates}
        if settings.autorater in BASELINES:
            return selection.select(settings.autorater, problem, candidates, Evidence(seed=settings.seed))
        if settings.autorater in NEED_TESTS:
            raise SettingError(f"--autorater {settings.autorater}: needs written tests; rerank run --tests takes them")
        if not settings.needs_model:
            with sandbox.Pool() as pool:
                scores = examples.judge([problem], candidates, pool=pool, journal=_memory("examples"))
                tried = gathering.gather([problem], candidates, {}, pool=pool, journal=_memory("trials"))
            evidence = Evidence(
                examples=selection.log_odds_by_key(scores.get(problem.task_id, ())),
                inputs=tried.inputs.get(problem.task_id),
                seed=settings.seed,
            )
            return selection.select(settings.autorater, problem, candidates, evidence)
        if settings.mode == "pointwise":
            ranked = judging.judge_pointwise(
                [problem], groups, self._load, scores=_memory("scores"), costs=_memory("costs"), passed={}
            )
        else:
            ranked = judging.judge_pairwise(
                [problem],
                groups,
                self._load,
                tournament=TOURNAMENTS[settings.tournament],
                aggregate=AGGREGATES[settings.aggregate],
                seed=settings.seed,
                stage=settings.mode,
                scores=_memory("scores"),
                comparisons=_memory("comparisons"),
                costs=_memory("costs"),
                passed={},
            )
        [ranking] = ranked
        return ranking

    def _load(self) -> Any:
        self._engine, autorater = open_autorater(self.settings, self._card, self._options, self._engine)
        return autorater


def read_input(
    prompt: Path | None, entry_point: str | None, files: Sequence[Path], stdin: IO[bytes]
) -> tuple[PublicProblem, list[str]]:
    """What `rerank pick` was given: the problem, and the candidates' texts in order."""
    text = _read_text(prompt) if prompt else None
    if files:
        solutions = [_read_text(file) for file in files]
    else:
        solutions = []
        for line, row in read_rows("stdin", stream=stdin):
            shape = next((shape for shape in SHAPES if isinstance(row.get(shape), str)), None)
            if shape:
                solutions.append(row[shape])
            elif "prompt" not in row:
                raise InputError(f"no candidate in it: one of {', '.join(SHAPES)} is wanted", path="stdin", line=line)
            text = text if text is not None else row.get("prompt")
            entry_point = entry_point or row.get("entry_point")
    if text is None:
        raise SettingError("no problem given: name its file with --prompt, or put `prompt` into the JSONL")
    name = entry_point or _last_function(text)
    kind: PromptKind = "function" if _last_function(text) else "text"
    if name is None:
        raise SettingError("the prompt has no function to take the name from: give --entry-point")
    return PublicProblem("pick", text, name, kind), solutions


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else (error.strerror or str(error)).lower()
        raise InputError(reason, path=path) from error


def _last_function(prompt: str) -> str | None:
    """The name of the function that a prompt leaves to be completed; None for a prompt in words."""
    program = programs.stub(prompt)
    if program is None:
        return None
    found = ast.parse(program).body
    names = [node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return names[-1] if names else None


def _memory(stage: str) -> Journal:
    return Journal(None, key=KEYS[stage])
