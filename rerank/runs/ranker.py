"""The best of some solutions to one problem: `rerank pick`, and the way into somebody else's pipeline.

with Ranker() as ranker:                                  # loads its model once, at the first problem
    candidates, ranking = ranker.rank(problem, ["def f(x): ...", "```python ..."])
    candidates[ranking.best].program
"""

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import sandbox
from rerank.backends.interface import Engine, EngineOptions
from rerank.candidates import extraction, programs
from rerank.candidates.files import SHAPES
from rerank.errors import InputError, MissingError, SettingError, WorkerError
from rerank.evidence import examples, gathering, record
from rerank.evidence.record import Evidence
from rerank.models import scorer_card, shipped
from rerank.records import Candidate, PromptKind, PublicProblem, Ranking
from rerank.runs import judging
from rerank.runs.folder import KEYS
from rerank.runs.judging import open_autorater
from rerank.runs.settings import ScoreSettings
from rerank.selection import selectors
from rerank.selection.aggregation import AGGREGATES
from rerank.selection.selectors import SELECTORS
from rerank.selection.tournaments import TOURNAMENTS
from rerank.store import Journal, read_rows


@dataclass(frozen=True, slots=True)
class Ranked:
    """A problem's ranking and what judging it took."""

    ranking: Ranking
    num_tokens: int  # prompt tokens computed for it; 0 without a model


class Ranker:
    """Ranks solutions; the model is loaded once, by `load` or by the first problem that needs it."""

    def __init__(self, settings: ScoreSettings | None = None, options: EngineOptions | None = None):
        self.settings = settings or ScoreSettings(shipped.DEFAULT_AUTORATER)
        self._options = options
        self._engine: Engine | None = None
        self._pool: sandbox.Pool | None = None
        # Other names are selectors' and stand for no model that a hub could have.
        self._card = (
            scorer_card.read_card(self.settings.autorater, options.weights if options else None)
            if self.settings.needs_model
            else scorer_card.UNTRAINED
        )
        self.settings = judging.in_form(self.settings, self._card)

    def rank(self, problem: PublicProblem, solutions: Sequence[str]) -> tuple[list[Candidate], Ranking]:
        """Candidates in the order of `solutions` (texts of any shape that `programs.extract` reads) and their ranking.

        Raises SettingError without a solution, and what `open_engine` raises.
        """
        candidates = to_candidates(problem, solutions)
        [ranked] = self.rank_many([(problem, candidates)])
        return candidates, ranked.ranking

    def rank_many(self, tasks: Sequence[tuple[PublicProblem, Sequence[Candidate]]]) -> Iterator[Ranked]:
        """Rank several problems at a time, their task_ids all different; yield each as soon as it is there."""
        settings = self.settings
        problems = [problem for problem, _ in tasks]
        groups = {problem.task_id: candidates for problem, candidates in tasks}
        if not settings.needs_model:
            selector = SELECTORS[settings.autorater]
            require_no_more(settings.autorater)
            known = self._behaviour(tasks) if selector.executes else {}
            for problem, candidates in tasks:
                evidence = known.get(problem.task_id) or Evidence(seed=settings.seed)
                yield Ranked(selectors.select(settings.autorater, problem, candidates, evidence), 0)
            return
        costs = _memory("costs")
        if settings.mode == "pointwise":
            rankings = judging.judge_pointwise(
                problems, groups, self.load, scores=_memory("scores"), costs=costs, passed={}
            )
        else:
            rankings = judging.judge_pairwise(
                problems,
                groups,
                self.load,
                tournament=TOURNAMENTS[settings.tournament],
                aggregate=AGGREGATES[settings.aggregate],
                seed=settings.seed,
                stage=settings.mode,
                scores=_memory("scores"),
                comparisons=_memory("comparisons"),
                costs=costs,
                passed={},
            )
        for ranking in rankings:
            spent = sum(row["num_tokens"] for row in costs.rows.values() if row["task_id"] == ranking.task_id)
            yield Ranked(ranking, spent)

    def examples(
        self, tasks: Sequence[tuple[PublicProblem, Sequence[Candidate]]]
    ) -> dict[str, dict[str, float | None]]:
        """Run the prompts' own examples in the sandbox: share of them passed, by task_id and key.

        Raises MissingError where the host gives too little isolation, WorkerError when the sandbox broke.
        """
        with self._sandbox() as pool:
            found = examples.judge(*_flat(tasks), pool=pool, journal=_memory("examples"))
        return {task_id: record.log_odds_by_key(scores) for task_id, scores in found.items()}

    def _behaviour(self, tasks: Sequence[tuple[PublicProblem, Sequence[Candidate]]]) -> dict[str, Evidence]:
        """What running the candidates on the prompts' examples and on generated inputs says, by task_id."""
        shares = self.examples(tasks)
        with self._sandbox() as pool:
            tried = gathering.gather(*_flat(tasks), {}, pool=pool, journal=_memory("trials"), seed=self.settings.seed)
        task_ids = [problem.task_id for problem, _ in tasks]
        return gathering.evidence_by_task(task_ids, trials=tried, examples=shares, seed=self.settings.seed)

    @contextmanager
    def _sandbox(self) -> Iterator[sandbox.Pool]:
        try:
            self._pool = self._pool or sandbox.Pool()
            yield self._pool
        except sandbox.SandboxUnavailable as error:
            raise MissingError(f"no sandbox: {error}") from error
        except sandbox.SandboxError as error:
            self._close_pool()  # the next call starts a new one
            raise WorkerError(f"the sandbox broke: {error}") from error

    def load(self) -> Any:
        """The autorater, its model loaded now if it is not yet. Raises what `open_engine` raises."""
        self._engine, autorater = open_autorater(self.settings, self._card, self._options, self._engine)
        return autorater

    def close(self) -> None:
        if self._engine:
            self._engine.close()
        self._close_pool()

    def _close_pool(self) -> None:
        if self._pool:
            self._pool.close()
            self._pool = None

    def __enter__(self) -> "Ranker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def require_no_more(autorater: str) -> None:
    """Raise SettingError for a selector whose evidence only a whole run has."""
    needs = SELECTORS[autorater].needs if autorater in SELECTORS else frozenset()
    if "likelihoods" in needs:
        raise SettingError(f"--autorater {autorater}: needs a reviewer; rerank run --reviewer takes one")
    if "tests" in needs:
        raise SettingError(f"--autorater {autorater}: needs written tests; rerank run --tests takes them")


def _flat(
    tasks: Sequence[tuple[PublicProblem, Sequence[Candidate]]],
) -> tuple[list[PublicProblem], list[Candidate]]:
    return [problem for problem, _ in tasks], [candidate for _, candidates in tasks for candidate in candidates]


def to_candidates(
    problem: PublicProblem, solutions: Sequence[str], log_probabilities: Sequence[float | None] | None = None
) -> list[Candidate]:
    """The candidates in some texts, in their order; `log_probabilities` are means in nats a token, where known.

    Raises SettingError without a solution.
    """
    if not solutions:
        raise SettingError("no candidate to pick from")
    candidates = []
    for index, (text, value) in enumerate(zip(solutions, log_probabilities or [None] * len(solutions), strict=True)):
        found = extraction.extract(problem, text)
        key = programs.program_key(found.program)
        candidates.append(Candidate(problem.task_id, index, text, found.program, key, found.cuts, value))
    return candidates


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
