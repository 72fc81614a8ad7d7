"""Sets that only the Hugging Face hub has, for users who reach it: `datasets` loads them, a converter a set turns them.

Converters are pure: they take the hub's rows in order and yield rows of the mixture. The fields that they expect are
those that the sets' cards name; a set that has changed gives an InputError that names the missing field. About one
group in twenty is dev, by hash.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from rerank.errors import InputError, MissingError
from rerank.store import Row, content_hash
from rerank.training.mixture.judgments import MixtureRow, both_orders, graded
from rerank.training.mixture.tasks import TASKS, MixtureTask

Converter = Callable[[MixtureTask, Iterable[Row]], Iterator[MixtureRow]]


@dataclass(frozen=True, slots=True)
class HubSet:
    """What `datasets.load_dataset` is asked for, and what turns its rows."""

    path: str
    convert: Converter
    options: Mapping[str, str] = field(default_factory=dict)


def hub_rows(name: str) -> Iterator[MixtureRow]:
    """Load one hub task by its name in the registry and yield its rows.

    Raises MissingError where `datasets` or the hub cannot be had.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingError(f"--hub {name}: datasets is not installed; pip install 'rerank[train]'") from error
    wanted = HUB_SETS[name]
    try:
        rows = datasets.load_dataset(wanted.path, split="train", **wanted.options)
    except Exception as error:  # the library raises its own, the network's and the file system's errors
        raise MissingError(f"--hub {name}: {wanted.path} cannot be loaded ({error.__class__.__name__})") from error
    yield from converted(name, rows)


def converted(name: str, rows: Iterable[Row]) -> Iterator[MixtureRow]:
    """The rows of a hub set as rows of the mixture."""
    try:
        yield from HUB_SETS[name].convert(TASKS[name], rows)
    except KeyError as error:
        raise InputError(f"{HUB_SETS[name].path} has no field {error} any more; its converter wants mending") from error


def split_of(group: str) -> str:
    return "dev" if int(hashlib.sha256(group.encode()).hexdigest(), 16) % 20 == 0 else "train"


def _graded_by(column: str) -> Converter:
    def convert(task: MixtureTask, rows: Iterable[Row]) -> Iterator[MixtureRow]:
        for row in rows:
            group = _group(task, row["prompt"])
            context = [("prompt", row["prompt"])]
            yield graded(task, context, row["response"], row[column], (0, 4), split_of(group), group)

    return convert


def _helpsteer_pairs(task: MixtureTask, rows: Iterable[Row]) -> Iterator[MixtureRow]:
    """Responses to one prompt stand together; each is paired with the next that was rated otherwise."""
    for prompt, same in groupby(rows, key=lambda row: row["prompt"]):
        responses = list(same)
        group = _group(task, prompt)
        for one, other in pairwise(responses):
            if one["helpfulness"] != other["helpfulness"]:
                is_first = one["helpfulness"] > other["helpfulness"]
                texts = (one["response"], other["response"])
                yield from both_orders(task, [("prompt", prompt)], texts, is_first, split_of(group), group)


def _prm800k(task: MixtureTask, rows: Iterable[Row]) -> Iterator[MixtureRow]:
    """A step rated 1 against a step rated -1 at the first place of a solution where both were proposed."""
    for row in rows:
        problem = row["question"]["problem"]
        so_far: list[str] = []
        group = _group(task, problem)
        for step in row["label"]["steps"]:
            proposed = step["completions"] or []
            good = next((each["text"] for each in proposed if each["rating"] == 1), None)
            bad = next((each["text"] for each in proposed if each["rating"] == -1), None)
            if good and bad:
                context = [("problem", problem), ("solution so far", "\n".join(so_far) or "(nothing yet)")]
                yield from both_orders(task, context, (good, bad), True, split_of(group), group)
                break
            chosen = step["chosen_completion"]
            if chosen is None:
                break
            so_far.append(proposed[chosen]["text"])


def _commits(task: MixtureTask, rows: Iterable[Row]) -> Iterator[MixtureRow]:
    for row in rows:
        if row["old_contents"].strip() and row["new_contents"].strip():
            group = _group(task, row["commit"])
            context = [("commit message", row["message"]), ("file", row["new_file"])]
            texts = (row["new_contents"], row["old_contents"])
            yield from both_orders(task, context, texts, True, split_of(group), group)


def _hh(task: MixtureTask, rows: Iterable[Row]) -> Iterator[MixtureRow]:
    """Two transcripts that agree up to the last reply."""
    mark = "\n\nAssistant:"
    for row in rows:
        before, _, chosen = row["chosen"].rpartition(mark)
        other_before, _, rejected = row["rejected"].rpartition(mark)
        if before == other_before and chosen.strip() and rejected.strip():
            group = _group(task, before)
            yield from both_orders(task, [("conversation", before)], (chosen, rejected), True, split_of(group), group)


def _shp(task: MixtureTask, rows: Iterable[Row]) -> Iterator[MixtureRow]:
    for row in rows:
        group = _group(task, row["post_id"])
        texts = (row["human_ref_A"], row["human_ref_B"])
        yield from both_orders(task, [("post", row["history"])], texts, row["labels"] == 1, split_of(group), group)


def _webgpt(task: MixtureTask, rows: Iterable[Row]) -> Iterator[MixtureRow]:
    for row in rows:
        if row["score_0"] != row["score_1"]:
            question = row["question"]["full_text"]
            group = _group(task, question)
            texts = (row["answer_0"], row["answer_1"])
            is_first = row["score_0"] > row["score_1"]
            yield from both_orders(task, [("question", question)], texts, is_first, split_of(group), group)


def _summaries(task: MixtureTask, rows: Iterable[Row]) -> Iterator[MixtureRow]:
    for row in rows:
        post = row["info"]["post"] or row["info"]["article"]
        group = _group(task, post)
        texts = (row["summaries"][0]["text"], row["summaries"][1]["text"])
        yield from both_orders(task, [("post", post)], texts, row["choice"] == 0, split_of(group), group)


def _group(task: MixtureTask, text: str) -> str:
    return f"{task.name}/{content_hash(text)}"


HUB_SETS: Mapping[str, HubSet] = {
    "helpsteer_helpfulness": HubSet("nvidia/HelpSteer", _graded_by("helpfulness")),
    "helpsteer_correctness": HubSet("nvidia/HelpSteer", _graded_by("correctness")),
    "helpsteer_pair": HubSet("nvidia/HelpSteer", _helpsteer_pairs),
    "prm800k_pair": HubSet("tasksource/PRM800K", _prm800k),
    "commitpackft_pair": HubSet("bigcode/commitpackft", _commits, {"name": "python"}),
    "hh_rlhf_harmless_pair": HubSet("Anthropic/hh-rlhf", _hh, {"data_dir": "harmless-base"}),
    "hh_rlhf_helpful_pair": HubSet("Anthropic/hh-rlhf", _hh, {"data_dir": "helpful-base"}),
    "shp_pair": HubSet("stanfordnlp/SHP", _shp),
    "webgpt_pair": HubSet("openai/webgpt_comparisons", _webgpt),
    "summarize_feedback_pair": HubSet("openai/summarize_from_feedback", _summaries, {"name": "comparisons"}),
}
