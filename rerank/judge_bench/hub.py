"""The twelve benchmarks that FLAMe was measured on (arXiv 2407.10817, section 5.1), by name, and RewardBench 2.

    cases = hub_cases("reward-bench")

Six are on the Hugging Face hub and two are JSON files of their authors' repositories; `datasets` reads both, on a host
that reaches them. The other four live in repositories in forms of their own: `hub_cases` says where; written as
judgment rows (see `cases`), they are measured like any file. Converters are pure, and expect the fields that the sets'
cards name.

None of these may be trained on; `rerank.training.mixture.tasks.HELD_OUT` names those that the mixture could meet.
FLAMe's one held-in benchmark is HelpSteer, of which the validation rows are measured: train only on its train rows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rerank.errors import InputError, MissingError, SettingError
from rerank.judge_bench.cases import Case, best_of_case, reward_bench_case
from rerank.store import Row, content_hash

Converter = Callable[[str, Iterable[Row]], Iterator[Case]]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Where a benchmark is. Without a path, `repository` is where its authors keep it."""

    path: str | None  # on the hub, or `json` for `files`
    split: str = "test"
    configs: tuple[str | None, ...] = (None,)
    convert: Converter = field(default=lambda _name, _rows: iter(()))
    repository: str = ""
    what: str = ""
    files: tuple[str, ...] = ()  # JSON at these addresses, at a fixed commit

    @property
    def place(self) -> str:
        return self.files[0] if self.files else str(self.path)


def hub_cases(name: str) -> list[Case]:
    """Load a benchmark by its name. Raises MissingError where it, `datasets` or the hub cannot be had."""
    benchmark = BENCHMARKS.get(name)
    if benchmark is None:
        raise SettingError(f"{name}: no such file, folder or benchmark; by name there are {', '.join(BENCHMARKS)}")
    if benchmark.path is None:
        raise MissingError(
            f"{name} ({benchmark.what}) is not on the hub: take it from {benchmark.repository}, write it as judgment "
            "rows (rerank/judge_bench/cases.py) and give that file"
        )
    try:
        import datasets
    except ImportError as error:
        raise MissingError(f"{name}: datasets is not installed; pip install 'rerank[train]'") from error
    cases: list[Case] = []
    files = {"data_files": list(benchmark.files)} if benchmark.files else {}
    for config in benchmark.configs:
        try:
            rows = datasets.load_dataset(benchmark.path, config, split=benchmark.split, **files)
        except Exception as error:  # the library raises its own, the network's and the file system's errors
            raise MissingError(f"{name}: {benchmark.place} cannot be loaded ({error.__class__.__name__})") from error
        cases += converted(name, ({**row, "_config": config} for row in rows))
    return cases


def converted(name: str, rows: Iterable[Row]) -> list[Case]:
    """The rows of a benchmark as cases. Raises InputError for a field that is gone."""
    try:
        return list(BENCHMARKS[name].convert(name, rows))
    except KeyError as error:
        raise InputError(
            f"{BENCHMARKS[name].place} has no field {error} any more; its converter wants mending"
        ) from error


def _reward_bench(name: str, rows: Iterable[Row]) -> Iterator[Case]:
    return (reward_bench_case(row, name) for row in rows)


def _reward_bench_2(name: str, rows: Iterable[Row]) -> Iterator[Case]:
    return (best_of_case(row, name) for row in rows)


def _aggrefact(name: str, rows: Iterable[Row]) -> Iterator[Case]:
    for row in rows:
        yield Case(
            name,
            "classification",
            "factuality",
            "Is the claim supported by the document?",
            (("document", row["doc"]),),
            (row["claim"],),
            "supported" if row["label"] else "unsupported",
            subset=row["dataset"],
            classes=("supported", "unsupported"),
        )


def _helpsteer(name: str, rows: Iterable[Row]) -> Iterator[Case]:
    for row in rows:
        for criterion in ("helpfulness", "correctness", "coherence", "complexity", "verbosity"):
            yield Case(
                name,
                "pointwise",
                "helpfulness",
                f"How high is the {criterion} of the response?",
                (("prompt", row["prompt"]),),
                (row["response"],),
                float(row[criterion]),
                subset=criterion,
            )


def _summary_axes(name: str, rows: Iterable[Row]) -> Iterator[Case]:
    for row in rows:
        post = row["info"]["post"] or row["info"]["article"]
        for axis, grade in row["summary"]["axes"].items():
            if grade is not None and axis != "compatible":
                yield Case(
                    name,
                    "pointwise",
                    "summary",
                    f"How good is the summary on the whole, looking at its {axis}?",
                    (("post", post),),
                    (row["summary"]["text"],),
                    float(grade),
                    subset=axis,
                )


def _hhh(name: str, rows: Iterable[Row]) -> Iterator[Case]:
    for row in rows:
        texts = tuple(row["targets"]["choices"])
        right = row["targets"]["labels"].index(1)
        shown = texts[:: 1 if int(content_hash(texts), 16) % 2 else -1]
        yield Case(
            name,
            "pairwise",
            "helpfulness",
            f"Which reply is better: more {_HHH[row['_config']]}?",
            (("conversation", row["input"]),),
            shown,
            "A" if shown[0] == texts[right] else "B",
            subset=row["_config"],
        )


_HHH = {"harmless": "harmless", "helpful": "helpful", "honest": "honest", "other": "helpful, honest and harmless"}


def _alpaca_farm(name: str, rows: Iterable[Row]) -> Iterator[Case]:
    for row in rows:
        instruction = "\n\n".join(filter(None, (row["instruction"], row["input"])))
        yield Case(
            name,
            "pairwise",
            "instruction_following",
            "Which output carries out the instruction better?",
            (("instruction", instruction),),
            (row["output_1"], row["output_2"]),
            "A" if row["preference"] == 1 else "B",
        )


def _lfqa(name: str, rows: Iterable[Row]) -> Iterator[Case]:
    for row in rows:
        yield Case(
            name,
            "pairwise",
            "helpfulness",
            "Which answer is better on the whole?",
            (("question", row["question"]),),
            (row["answer_a"], row["answer_b"]),
            {-1: "A", 0: "tie", 1: "B"}[row["overall_preference"]],
            models=(row["answer_a_type"], row["answer_b_type"]),
        )


def _literary(name: str, rows: Iterable[Row]) -> Iterator[Case]:
    for row in rows:
        languages = f"{row['source_lang']} to {row['target_lang']}"
        yield Case(
            name,
            "pairwise",
            "translation",
            "Which translation is better?",
            (("languages", languages), ("source", row["source"])),
            (row["text1"], row["text2"]),
            "A" if row["choice"] == "text1" else "B",
            subset=languages,
            models=(row["text1_tag"], row["text2_tag"]),
        )


BENCHMARKS: Mapping[str, Benchmark] = {
    "reward-bench": Benchmark("allenai/reward-bench", "filtered", convert=_reward_bench),
    "llm-aggrefact": Benchmark("lytang/LLM-AggreFact", "test", convert=_aggrefact),
    "summ-feedback": Benchmark("openai/summarize_from_feedback", "test", ("axis",), _summary_axes),
    "alpaca-farm": Benchmark("tatsu-lab/alpaca_farm", "preference", ("alpaca_human_preference",), _alpaca_farm),
    "rank-gen": Benchmark(
        None, repository="github.com/martiansideofthemoon/rankgen", what="which continuation of a text writers prefer"
    ),
    "co-poet": Benchmark(
        None, repository="github.com/vishakhpk/creative-instructions", what="which line of verse poets prefer"
    ),
    "contr-search": Benchmark(
        None,
        repository="github.com/yxuansu/Contrastive_Search_Is_What_You_Need",
        what="which continuation of a text raters prefer",
    ),
    "hhh": Benchmark("HuggingFaceH4/hhh_alignment", "test", ("harmless", "helpful", "honest", "other"), _hhh),
    "dipper": Benchmark(
        None, repository="github.com/martiansideofthemoon/ai-detection-paraphrases", what="which paraphrase keeps more"
    ),
    "lit-trans": Benchmark(
        "json",
        "train",
        convert=_literary,
        files=(
            "https://github.com/marzenakrp/LiteraryTranslation/raw/9067588a34ca3fac24dfcd62e75921098b5e8382/"
            "annotations/default_format_v1/all_annotations_v1.json",
        ),
    ),
    "lfqa-eval": Benchmark(
        "json",
        "train",
        convert=_lfqa,
        files=(
            "https://github.com/carriex/lfqa_eval/raw/5202745be28c1574c79c18c95143a797567eded9/"
            "preference_data/experts_pairwise_human_preferences.jsonl",
        ),
    ),
    "help-steer": Benchmark("nvidia/HelpSteer", "validation", convert=_helpsteer),
    "reward-bench-2": Benchmark("allenai/reward-bench-2", "test", convert=_reward_bench_2),
}
FLAME = tuple(name for name in BENCHMARKS if name != "reward-bench-2")
ON_HUB = tuple(name for name in FLAME if BENCHMARKS[name].path)
