"""Have a model read candidates' programs: the likelihoods behind Coder-Reviewer and self-certainty, in a journal.

for task_id in review(problems, candidates, load, journal=journal, costs=costs): ...
likelihoods.from_rows(journal.rows.values())             # {task_id: {key: Read}}
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tqdm import tqdm

from rerank import generators
from rerank.backends.interface import Likelihood, LikelihoodSource, Usage
from rerank.candidates.files import by_problem
from rerank.candidates.programs import normal_form
from rerank.errors import ModelError
from rerank.evidence.likelihoods import coder_request, is_degenerate, reviewer_request
from rerank.records import Candidate, PublicProblem
from rerank.runs.judging import BAR, Costs
from rerank.store import Journal, Row


def review(
    problems: Sequence[PublicProblem],
    candidates: Iterable[Candidate],
    load: Callable[[], LikelihoodSource],
    *,
    journal: Journal,
    costs: Journal,
) -> Iterator[str]:
    """Have the model read what the journal lacks, a problem at a time; yield each task_id when its rows are written.

    A problem of which any program is missing is read again whole, in the same batches as the first time.
    """
    programs = {task_id: _programs(group) for task_id, group in by_problem(candidates).items()}
    todo = [
        each for each in problems
        if any((each.task_id, key) not in journal for key in programs.get(each.task_id, ()))
    ]  # fmt: skip
    if not todo:
        return
    source = load()
    is_chat = generators.style_of(source) == "chat"
    groups = (
        [
            request
            for program in programs[problem.task_id].values()
            for request in (
                coder_request(problem, program, is_chat=is_chat),
                reviewer_request(problem, program, is_chat=is_chat),
            )
        ]
        for problem in todo
    )
    usage = Usage()
    spent = Costs(costs, "likelihoods", usage)
    bar: Any = tqdm(source.likelihoods(groups), "likelihoods", len(problems), initial=len(problems) - len(todo), **BAR)
    with bar:
        for problem, found in zip(todo, bar, strict=True):
            halves = zip(programs[problem.task_id].items(), found[::2], found[1::2], strict=True)
            journal.append(_row(problem, key, program, coder, reviewer) for (key, program), coder, reviewer in halves)
            usage = sum((each.usage for each in found), usage)
            spent.note(problem.task_id, 0, usage)
            yield problem.task_id


def _programs(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Key to normal form, in the order of the keys: a batch that no relabelling changes."""
    found = {each.key: normal_form(each.program) or each.program for each in candidates if each.key is not None}
    return {key: found[key] for key in sorted(found)}


def require(source: Any, model: str) -> LikelihoodSource:
    """The engine, if it can read likelihoods. Raises ModelError for one that cannot."""
    if not isinstance(source, LikelihoodSource):
        raise ModelError(f"--reviewer {model}: its backend shows no likelihoods of given text; take transformers")
    return source


def _row(problem: PublicProblem, key: str, program: str, coder: Likelihood, reviewer: Likelihood) -> Row:
    reason = coder.reason or reviewer.reason
    return {
        "task_id": problem.task_id,
        "key": key,
        "coder": coder.log_probability,
        "num_coder_tokens": coder.num_tokens,
        "reviewer": reviewer.log_probability,
        "num_reviewer_tokens": reviewer.num_tokens,
        "self_certainty": coder.self_certainty,
        "is_degenerate": is_degenerate(program, problem.entry_point),
    } | ({"reason": reason} if reason else {})
