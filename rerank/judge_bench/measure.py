"""Measure an autorater on judgment sets, over a run folder that a killed run goes on with (`rerank judge`).

    run.toml         settings, versions, what was read
    answers.jsonl    one answer a question: case, variant, values
    judge.json, judge.md, accuracy.png, bias.png

A case's questions are asked together, and their answers written together.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rerank.autoraters import backend_for
from rerank.backends.engines import open_engine
from rerank.backends.interface import EngineOptions, Usage
from rerank.errors import InputError
from rerank.judge_bench import bias, report
from rerank.judge_bench.asking import Ask
from rerank.judge_bench.cases import Case, read_cases, sample
from rerank.judge_bench.figures import Report, make_report
from rerank.judge_bench.hub import ON_HUB, hub_cases
from rerank.judge_bench.raters import (
    RULES,
    Answer,
    EncodedOnceRater,
    LogitRater,
    Rater,
    ReasoningRater,
    RuleRater,
    sees_order,
)
from rerank.judge_bench.settings import JudgeSettings
from rerank.models import scorer_card
from rerank.runs.folder import RunFolder, Setting
from rerank.store import Journal, Row, content_hash


def default_folder(names: Sequence[str], settings: JudgeSettings) -> Path:
    """A folder whose name follows from what is measured: the same command goes on with it."""
    free = {"with_bias", "own_model"}
    decides = {key: value for key, value in asdict(settings).items() if key not in free}
    return Path("runs") / f"judge-{Path(settings.autorater).name}-{settings.mode}-{content_hash(names, decides)[:6]}"


def gather(names: Sequence[str]) -> list[Case]:
    """The cases of files, folders and benchmarks by name, each once; `flame` is what the hub has of FLAMe's twelve."""
    found: dict[str, Case] = {}
    for name in names:
        if Path(name).exists():
            cases = read_cases(name)
        else:
            cases = [case for each in (ON_HUB if name == "flame" else (name,)) for case in hub_cases(each)]
        found |= {case.key: case for case in cases}
    if not found:
        raise InputError(
            f"{', '.join(names)}: nothing to measure there; open-ended rows and rows of train do not count"
        )
    return list(found.values())


def measure(
    folder: RunFolder, cases: Sequence[Case], settings: JudgeSettings, *, options: EngineOptions | None = None
) -> Report:
    """Ask what is not answered yet, and write the figures into the folder."""
    chosen = sample(cases, per_set=settings.per_set, seed=settings.seed)
    recorded = {key: value for key, value in asdict(settings).items() if value is not None}
    free: dict[str, Setting] = {key: recorded.pop(key) for key in ("own_model", "with_bias") if key in recorded}
    names = sorted({case.set for case in chosen})
    folder.record_settings(
        "judge", fixed={**recorded, "cases": content_hash(sorted(case.key for case in chosen))}, changeable=free
    )
    folder.record_settings("sets", changeable={"names": names, "num_cases": len(chosen)})
    with Journal(folder.path / "answers.jsonl", key=lambda row: (row["case"], row["variant"])) as journal:
        judged = list(answer_all(chosen, settings, journal, lambda: _open(folder, settings, options)))
    made = make_report(judged, with_bias=settings.with_bias, own_model=settings.own_model, seed=settings.seed)
    report.write(made, folder.path, title=_title(settings), settings=folder.document())
    return made


def answer_all(
    cases: Sequence[Case], settings: JudgeSettings, journal: Journal, load: "Callable[[], Opened]"
) -> Iterator[tuple[Case, dict[str, Answer]]]:
    """Each case with its answers by variant, in order; those that the journal holds are not asked again."""
    is_ordered = sees_order(settings.autorater, settings.mode)
    with_remarks = settings.with_bias and settings.mode != "encoded-once"  # which has no place for a remark on a pair
    asked = {case.key: _asks(case, is_ordered=is_ordered, with_bias=with_remarks) for case in cases}
    todo = [case for case in cases if any((case.key, ask.variant) not in journal for ask in asked[case.key])]
    if todo:
        opened = load()
        try:
            groups = [asked[case.key] for case in todo]
            size = sum(map(len, groups))
            with tqdm(total=size, desc="judge", unit="question", disable=None, dynamic_ncols=True) as bar:
                for asks, answers in zip(groups, opened.rater.answer(groups), strict=True):
                    journal.append(_row(ask, answer) for ask, answer in zip(asks, answers, strict=True))
                    bar.update(len(asks))
        finally:
            opened.close()
    for case in cases:
        yield case, {ask.variant: answer_of(journal[case.key, ask.variant]) for ask in asked[case.key]}


@dataclass(frozen=True, slots=True)
class Opened:
    """A rater, and how to give back what it holds."""

    rater: Rater
    close: Callable[[], None]


def _open(folder: RunFolder, settings: JudgeSettings, options: EngineOptions | None) -> Opened:
    if settings.autorater in RULES:
        return Opened(RuleRater(settings.autorater), lambda: None)
    scorer_card.read_card(
        settings.autorater, options.weights if options else None
    )  # trained on other words: say so first
    engine = open_engine(backend_for(settings.mode, settings.backend), settings.autorater, options)
    folder.record_settings("engine", changeable=dict(engine.settings))
    rater: Rater
    if settings.mode == "reasoning":
        rater = ReasoningRater(engine, num_votes=settings.num_votes, sampling=settings.sampling)
    elif settings.mode == "encoded-once":
        rater = EncodedOnceRater(engine)
    else:
        rater = LogitRater(engine, settings.mode)
    return Opened(rater, engine.close)


def _asks(case: Case, *, is_ordered: bool, with_bias: bool) -> list[Ask]:
    if case.kind != "pairwise" or not is_ordered:
        return [Ask(case)]
    return [Ask(case), Ask(case, swapped=True), *(bias.asks(case) if with_bias else ())]


def _row(ask: Ask, answer: Answer) -> Row:
    row: dict[str, Any] = {"case": ask.case.key, "set": ask.case.set, "variant": ask.variant, **asdict(answer)}
    usage = row.pop("usage")
    return row | {"num_tokens": usage["num_tokens"]}


def answer_of(row: Row) -> Answer:
    """A row of answers.jsonl."""
    values: Iterable[float] | None = row["values"]
    return Answer(
        None if values is None else tuple(values),
        row["num_votes"],
        row["num_unparsed"],
        row["reason"],
        Usage(num_tokens=row["num_tokens"]),
    )


def _title(settings: JudgeSettings) -> str:
    if settings.autorater in RULES:
        return settings.autorater
    votes = f", {settings.num_votes} votes" if settings.num_votes > 1 else ""
    return f"{Path(settings.autorater).name} ({settings.mode}{votes})"
