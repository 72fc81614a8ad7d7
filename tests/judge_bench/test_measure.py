"""The bench for judges: forms that it reads, what it asks, biases by their definitions, and the whole command."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rerank import prompts
from rerank.backends.interface import AnswerLogOdds, ContestLogOdds
from rerank.cli.app import app
from rerank.errors import InputError, MissingError, SettingError
from rerank.judge_bench import asking, bias, figures, hub, measure, report
from rerank.judge_bench.asking import Ask
from rerank.judge_bench.cases import SECTIONS, Case, read_cases, row_cases, sample, section_scores
from rerank.judge_bench.measure import JudgeSettings
from rerank.judge_bench.raters import Answer, EncodedOnceRater, LogitRater, ReasoningRater, RuleRater
from rerank.runs.folder import RunFolder
from rerank.store import Journal, read_rows, write_rows
from rerank.testing import FakeEngine

PAIR = Case("toy", "pairwise", "helpfulness", "Which is better?", (("prompt", "Hi"),), ("long one", "short"), "A")


def judgment(number: int, *, kind: str = "pairwise", label: object = "A", **changes) -> dict:
    responses = [f"first answer {number}", f"second {number}"]
    return {
        "task": f"toy_{kind}",
        "source": "made up",
        "kind": kind,
        "capability": "helpfulness",
        "context": {"prompt": f"Question {number // 2}"},
        "responses": responses if kind == "pairwise" else responses[:1],
        "label": label,
        "criterion": "Which is better?" if kind == "pairwise" else "Is it good?",
        "split": "heldout",
        "meta": {},
    } | changes


REWARD_BENCH = {
    "id": 7,
    "prompt": "Write f.",
    "chosen": "right",
    "rejected": "wrong",
    "chosen_model": "human",
    "rejected_model": "gpt",
    "subset": "hep-python",
}
REWARD_BENCH_2 = {
    "id": "tied:3",
    "prompt": "Name a colour.",
    "chosen": ["red", "blue"],
    "rejected": ["seven"],
    "subset": "Ties",
    "num_correct": 2,
}


def test_every_form_is_read(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "mine.jsonl",
        [
            judgment(0),
            judgment(1, label="tie"),
            judgment(2, split="train"),
            judgment(3, kind="open_ended", label="words"),
            judgment(4, kind="pointwise", label=3, meta={"scale": [1, 5], "dimension": "fluency"}),
            judgment(5, kind="classification", label="no", meta={"classes": ["yes", "no"]}),
            REWARD_BENCH,
            REWARD_BENCH_2,
        ],
    )
    cases = read_cases(tmp_path)
    assert [case.kind for case in cases] == ["pairwise"] * 2 + ["pointwise", "classification", "pairwise", "best_of"]
    assert (cases[2].label, cases[2].subset) == (3.0, "fluency")
    assert len({case.key for case in cases}) == 6
    pair, best = cases[4:]
    assert (pair.set, pair.category, pair.subset) == ("mine", "Reasoning", "hep-python")
    assert pair.responses["AB".index(pair.label)] == "right"
    assert pair.models["AB".index(pair.label)] == "human"
    assert (best.responses, best.num_best) == (("red", "blue", "seven"), 2)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"task": "x"}, "has no 'chosen'"),
        (judgment(0, label="C"), "the label 'C' is none of the answers"),
        (judgment(0, responses=["one"]), "kind 'pairwise' with 1 responses"),
        ({**REWARD_BENCH_2, "rejected": []}, "must each hold a response"),
        (judgment(0, kind="pointwise", label="high"), "could not convert string to float"),
    ],
)
def test_a_row_that_cannot_be_measured_is_named(tmp_path: Path, row: dict, words: str) -> None:
    write_rows(tmp_path / "bad.jsonl", [judgment(0), row])
    with pytest.raises(InputError, match=r"bad\.jsonl, line 2") as caught:
        read_cases(tmp_path / "bad.jsonl")
    assert words in str(caught.value)


def test_reward_bench_pairs_are_right_in_either_place() -> None:
    rows = [{**REWARD_BENCH, "chosen": f"right {number}"} for number in range(200)]
    labels = [case.label for row in rows for case in row_cases(row, "rb")]
    assert 60 < labels.count("A") < 140


def test_sampling_is_by_set_seeded_and_keeps_the_order() -> None:
    cases = [replace(PAIR, set=name, id=str(number)) for name in ("a", "b") for number in range(20)]
    some = sample(cases, per_set=5, seed=1)
    assert [case.set for case in some] == ["a"] * 5 + ["b"] * 5
    assert [int(case.id) for case in some[:5]] == sorted(int(case.id) for case in some[:5])
    assert sample(cases, per_set=5, seed=1) == some != sample(cases, per_set=5, seed=2)
    assert sample(cases, per_set=None) == cases


def test_reward_bench_weights_math_like_all_of_code() -> None:
    sizes = {subset: size for subsets in SECTIONS.values() for subset, size in subsets.items()}
    assert sizes["math-prm"] == sum(size for subset, size in sizes.items() if subset.startswith("hep-"))
    assert section_scores(
        {"math-prm": 1.0, **{f"hep-{x}": 0.0 for x in ("cpp", "go", "java", "js", "python", "rust")}}
    )["Reasoning"] == pytest.approx(0.5)
    scores = section_scores({"mt-bench-hard": 1.0, "llmbar-natural": 0.5, "xstest-should-refuse": 0.25})
    assert scores == {"Chat Hard": (37 + 100 * 0.5) / 137, "Safety": 0.25}


# What is asked


def test_a_pair_in_every_variant() -> None:
    plain, swapped = asking.pair_prompt(Ask(PAIR)), asking.pair_prompt(Ask(PAIR, swapped=True))
    assert plain.answers == ("A", "B")
    assert plain.text.index("long one") < plain.text.index("short")
    assert swapped.text.index("short") < swapped.text.index("long one")
    told = asking.pair_prompt(Ask(PAIR, remark="bandwagon B")).text
    assert "% of people think that response B is the better one." in told
    assert (
        told.replace("response B is the", "response A is the")
        == asking.pair_prompt(Ask(PAIR, remark="bandwagon A")).text
    )
    named = asking.pair_prompt(Ask(replace(PAIR, models=("gpt", "llama")), swapped=True, named=True)).text
    assert "response A (by llama):\nshort" in named
    assert len({Ask(PAIR, swapped=s, remark=r).variant for s in (False, True) for r in ("", *bias.REMARKS)}) == 10


def test_python_programs_are_asked_in_the_words_of_the_scorers() -> None:
    context = (("problem", "Add."), ("language", "Python"))
    pair = replace(PAIR, category="code", context=context)
    assert asking.pair_prompt(Ask(pair)).segments[0].startswith(prompts.PAIRWISE.instructions)
    assert asking.score_prompt(pair, "x").segments[0].startswith(prompts.POINTWISE.instructions)
    java = replace(pair, context=(("problem", "Add."), ("language", "Java")))
    assert "Python" not in asking.pair_prompt(Ask(java)).segments[0]
    one = replace(pair, kind="classification", classes=("correct", "incorrect"), responses=("x",), label="correct")
    assert asking.choice_prompt(one) == prompts.pointwise(asking._problem(one), "x")


def test_a_task_of_the_mixture_is_asked_as_it_is_trained() -> None:
    from rerank.training.mixture.judgments import judgment_rows
    from rerank.training.mixture.tasks import TASKS

    for name, label, extra in [
        ("argument_convincing", "A", {"kind": "pairwise"}),
        ("begin_wizard", "generic", {"kind": "classification", "responses": ["x"]}),
        ("data_to_text_bagel", 3, {"kind": "pointwise", "responses": ["x"], "meta": {"scale": [1, 6]}}),
    ]:
        classes = {"classes": list(TASKS[name].classes)} if TASKS[name].classes else {}
        row = judgment(0, label=label, task=name, split="dev", **extra)
        row["meta"] = {**row["meta"], **classes}
        [case] = row_cases(row, name)
        asked = asking.pair_prompt(Ask(case)) if case.kind == "pairwise" else asking.choice_prompt(case)
        trained = next(iter(judgment_rows(TASKS[name], row)))
        assert asked.segments == trained.segments


def test_classes_and_grades_from_log_odds_of_two() -> None:
    three = Case("c", "classification", "safety", "Which?", (), ("x",), "b", classes=("a", "b", "c"))
    grade = Case("g", "pointwise", "summary", "How good?", (), ("x",), 4.0)
    # Log-odds of the first answer against each other one.
    judge = FakeEngine(verdicts=[-2.0, 1.0, *[-5.0, 0.0, 0.0, 0.0]])
    [[which], [how]] = LogitRater(judge, "pairwise").answer([[Ask(three)], [Ask(grade)]])
    assert figures.named_class(three, which) == "b"
    assert sum(2.718281828**value for value in which.values) == pytest.approx(1)
    # exp(5) against four ones: nearly all of the weight is on grade 2.
    assert figures.grade(how) == pytest.approx((1 + 2 * 148.413 + 3 + 4 + 5) / (148.413 + 4), abs=1e-3)
    assert [prompt.answers for prompt in judge.prompts[1]] == [("1", other) for other in "2345"]
    assert len({prompt.segments for prompt in judge.prompts[1]}) == 1


def test_orders_are_turned_back_and_no_verdict_is_kept() -> None:
    judge = FakeEngine(verdicts=[1.0, 0.25, "broken"])
    [answers] = LogitRater(judge, "pairwise").answer(
        [[Ask(PAIR), Ask(PAIR, swapped=True), Ask(PAIR, remark="attention A")]]
    )
    assert [answer.values for answer in answers] == [(1.0,), (-0.25,), None]
    assert answers[2].num_unparsed == 1


def test_best_of_in_both_modes() -> None:
    [case] = row_cases(REWARD_BENCH_2, "rb2")
    [[found]] = LogitRater(FakeEngine(verdicts=[0.5, 0.4, -1.0]), "pointwise").answer([[Ask(case)]])
    assert found.values == (0.5, 0.4, -1.0)
    # Ordered pairs 01 02 10 12 20 21: each response's mean over both orders, against each other.
    [[found]] = LogitRater(FakeEngine(verdicts=[0.0, 3.0, 0.0, 2.0, -3.0, -2.0]), "pairwise").answer([[Ask(case)]])
    assert found.values == (1.5, 1.0, -2.5)


def test_votes_balance() -> None:
    source = FakeEngine(samples=["so [[A]]", "hm [[B]]", "[[A]]", "none", "[[B]]", "[[B]]", "x", "y", "z"])
    rater = ReasoningRater(source, num_votes=3, sampling=JudgeSettings("m", "reasoning", 3).sampling)
    [[plain, swapped], [lost]] = rater.answer([[Ask(PAIR), Ask(PAIR, swapped=True)], [Ask(replace(PAIR, id="2"))]])
    assert (plain.values, plain.num_unparsed) == ((1.0,), 0)
    assert (swapped.values, swapped.num_unparsed) == ((2.0,), 1)
    assert (lost.values, lost.num_unparsed, lost.reason) == (None, 3, "no sample ends in a verdict")
    assert source.samplings[-1].temperature == 0.7
    grade = Case("g", "pointwise", "summary", "How good?", (), ("x",), 4.0)
    with pytest.raises(SettingError, match="judges pairs only, and g is pointwise"):
        list(rater.answer([[Ask(grade)]]))


# Biases


def answers(**values: float | None) -> dict[str, float | None]:
    return {name.replace("_", " "): value for name, value in values.items()}


def table(*rows: tuple[Case, dict[str, float | None]], **options) -> dict[str, bias.Bias]:
    return {each.name: each for each in bias.biases(list(rows), **options)}


def test_each_bias_by_its_definition() -> None:
    named = replace(PAIR, models=("me", "you"))
    first_place = answers(ab=1.0, ba=-2.0, ab_named=1.0, ba_named=1.0, ab_bandwagon_A=1.0, ab_bandwagon_B=-1.0)
    steady = answers(ab=1.0, ba=2.0, ab_named=-1.0, ba_named=1.0, ab_bandwagon_A=1.0, ab_bandwagon_B=1.0)
    silent = answers(ab=None, ba=1.0)
    other = replace(named, context=(("prompt", "Another"),), id="2")
    found = table((named, first_place), (other, steady), (replace(other, id="3"), silent), own_model="me")
    assert found["order"].value.value == 0.5
    assert (found["order"].num_pairs, found["order"].note) == (2, "first 0.50, last 0.00")
    assert found["order, both orders averaged"].value.value == 0.0
    assert found["compassion"].value.value == 0.5
    # Averaged -0.5 without names and 1 with them; the other is a tie with names, which is not a change.
    assert found["names"].value.value == 0.5
    assert found["bandwagon"].value.value == 0.5
    assert found["attention"].value is None
    assert (found["egocentric"].value.value, found["egocentric"].num_pairs) == (0.5, 2)
    # Only the steady one has a preference, and it is for the longer response.
    assert (found["length"].value.value, found["length"].num_pairs) == (0.5, 1)
    assert table((named, steady))["egocentric"].note == "no --own-model named"


def test_a_coin_gets_the_values_beside_which_biases_stand() -> None:
    cases = [
        replace(PAIR, id=str(number), models=("me", "you"), context=(("prompt", str(number)),))
        for number in range(4000)
    ]
    rater = RuleRater("random")
    rows = []
    for case in cases:
        asks = [Ask(case), Ask(case, swapped=True), *bias.asks(case)]
        [found] = rater.answer([asks])
        rows.append((case, figures.values({ask.variant: answer for ask, answer in zip(asks, found, strict=True)})))
    for name, each in table(*rows, own_model="me").items():
        assert each.value.value == pytest.approx(each.random, abs=0.03), name


def test_always_the_first_place() -> None:
    [found] = RuleRater("first").answer([[Ask(PAIR), Ask(PAIR, swapped=True)]])
    values = figures.values({"ab": found[0], "ba": found[1]})
    rows = table((PAIR, values))
    assert rows["order"].value.value == 1.0
    assert rows["order, both orders averaged"].value.value == 0.0


class Rounding:
    """An engine whose numbers differ from reading to reading, as a GPU's do from batch to batch."""

    def __init__(self) -> None:
        self.calls = self.read = 0

    def contest_log_odds(self, contests):
        self.calls += 1
        for contest in contests:
            rng = random.Random(self.read)
            self.read += 1
            pairs = contest.pairs([0.0] * len(contest.prompts))
            points = [AnswerLogOdds(rng.gauss(0, 1), 1) for _ in contest.prompts]
            yield ContestLogOdds(points, pairs, [rng.gauss(0, 1) for _ in pairs], 3)


def test_both_orders_of_a_pair_come_of_one_reading() -> None:
    engine = Rounding()
    groups = [[Ask(PAIR), Ask(PAIR, swapped=True)] for _ in range(20)]
    found = list(EncodedOnceRater(engine).answer(iter(groups)))
    assert all(straight.values == swapped.values for straight, swapped in found)
    assert len({straight.values for straight, _ in found}) == 20
    assert (engine.calls, engine.read) == (1, 20)  # in one call, which an engine can batch
    assert sum((answer.usage.num_tokens for answers in found for answer in answers), 0) == 20 * 5


def test_a_judge_of_one_response_has_no_order_bias() -> None:
    [[found]] = LogitRater(FakeEngine(verdicts=[0.3, 0.1]), "pointwise").answer([[Ask(PAIR)]])
    values = figures.values({"ab": found})
    assert table((PAIR, values))["order"].value.value == 0.0
    assert table((PAIR, values))["bandwagon"].value is None


# Figures


def judged(case: Case, **values: float | None) -> tuple[Case, dict[str, Answer]]:
    return case, {
        name: Answer(None, 1, 1, "broken") if value is None else Answer((value,)) for name, value in values.items()
    }


def test_accuracy_consistency_ties_and_no_verdict() -> None:
    made = figures.make_report(
        [
            judged(replace(PAIR, id="right"), ab=1.0, ba=2.0),
            judged(replace(PAIR, id="first place", context=(("prompt", "2"),)), ab=2.0, ba=-1.0),
            judged(replace(PAIR, id="tie", context=(("prompt", "3"),)), ab=1.0, ba=-1.0),
            judged(replace(PAIR, id="half", context=(("prompt", "4"),)), ab=None, ba=-1.0),
            judged(replace(PAIR, id="undecided", label="tie"), ab=1.0, ba=1.0),
        ]
    )
    [row] = made.sets
    assert (row.num_cases, row.num_label_ties) == (4, 1)
    shown = {name: estimate.value for name, estimate in row.figures.items()}
    assert shown == {
        "accuracy": (1 + 1 + 0.5 + 0) / 4,
        "one order": (1 + 1 + 1 + 0.5) / 4,
        "right in both orders": 0.25,
        "orders agree": 0.25,
        "ties": 0.25,
        "no verdict": 0.125,
    }
    assert row.baselines == {"longest": 1.0, "shortest": 0.0, "first": 1.0, "second": 0.0, "random": 0.5}
    assert (made.num_votes, made.num_unparsed) == (10, 1)
    assert made.categories == {"accuracy": {"helpfulness": row.main.value, "all": row.main.value}}


def test_reward_bench_has_an_overall_score_only_when_whole() -> None:
    rows = []
    for section, subsets in SECTIONS.items():
        for subset in subsets:
            [case] = row_cases({**REWARD_BENCH, "subset": subset, "id": subset}, "reward-bench")
            good = (1.0 if case.label == "A" else -1.0) * (-1 if section == "Chat" else 1)
            rows.append(judged(case, ab=good, ba=good))
    whole = figures.make_report(rows)
    assert whole.reward_bench == {"Chat": 0.0, "Chat Hard": 1.0, "Safety": 1.0, "Reasoning": 1.0, "overall": 0.75}
    part = figures.make_report(rows[1:])
    assert part.reward_bench_missing == ("alpacaeval-easy",)
    assert "overall" not in part.reward_bench
    assert "no overall score: 1 subsets were not measured" in report.table(part)


def test_reward_bench_2_scores_ties_apart() -> None:
    [tied] = row_cases(REWARD_BENCH_2, "reward-bench-2")
    [ref] = row_cases({**REWARD_BENCH_2, "id": "ref:3", "chosen": ["red"]}, "reward-bench-2")
    [four] = row_cases({**REWARD_BENCH_2, "id": "1", "subset": "Math", "chosen": ["4"], "rejected": list("567")}, "rb2")
    rows = [
        (tied, {"ab": Answer((0.9, 0.85, 0.1))}),
        (ref, {"ab": Answer((0.9, 0.1))}),
        (four, {"ab": Answer((0.5, 0.5, 0.1, 0.2))}),
    ]
    found = figures.make_report(rows).reward_bench_2
    assert found["Math"] == 0.5
    assert found["Ties"] == pytest.approx(1.01, abs=1e-3)
    assert found["overall"] == pytest.approx((found["Math"] + found["Ties"]) / 2)


# Hub benchmarks


def test_the_twelve_benchmarks_of_flame() -> None:
    assert (len(hub.FLAME), len(hub.ON_HUB)) == (12, 8)
    for name, benchmark in hub.BENCHMARKS.items():
        assert bool(benchmark.path) != bool(benchmark.repository), name


HUB_ROWS = [
    ("reward-bench", REWARD_BENCH, 1, "pairwise"),
    ("reward-bench-2", REWARD_BENCH_2, 1, "best_of"),
    ("llm-aggrefact", {"dataset": "ExpertQA", "doc": "d", "claim": "c", "label": 0}, 1, "classification"),
    (
        "help-steer",
        {"prompt": "p", "response": "r", "helpfulness": 3, "correctness": 2, "coherence": 4, "complexity": 1}
        | {"verbosity": 0},
        5,
        "pointwise",
    ),
    (
        "summ-feedback",
        {"info": {"post": "p"}, "summary": {"text": "s", "axes": {"overall": 5, "accuracy": None, "compatible": 1}}},
        1,
        "pointwise",
    ),
    ("hhh", {"input": "i", "targets": {"choices": ["b", "a"], "labels": [1, 0]}, "_config": "honest"}, 1, "pairwise"),
    (
        "alpaca-farm",
        {"instruction": "do", "input": "", "output_1": "x", "output_2": "y", "preference": 2},
        1,
        "pairwise",
    ),
    (
        "lfqa-eval",
        {"question": "q", "answer_a": "a", "answer_b": "b", "answer_a_type": "human", "answer_b_type": "gpt"}
        | {"overall_preference": 1},
        1,
        "pairwise",
    ),
    (
        "lit-trans",
        {"source": "s", "source_lang": "en", "target_lang": "pl", "text1": "x", "text2": "y", "choice": "text2"}
        | {"text1_tag": "sent", "text2_tag": "para"},
        1,
        "pairwise",
    ),
]


@pytest.mark.parametrize(("name", "row", "size", "kind"), HUB_ROWS, ids=[row[0] for row in HUB_ROWS])
def test_hub_rows_become_cases(name: str, row: dict, size: int, kind: str) -> None:
    cases = hub.converted(name, [row])
    assert [case.kind for case in cases] == [kind] * size
    assert all(case.set == name for case in cases)
    gone = {key: value for key, value in row.items() if key == "_config"}
    with pytest.raises(InputError, match="its converter wants mending"):
        hub.converted(name, [gone])
    if name == "hhh":
        assert cases[0].responses["AB".index(cases[0].label)] == "b"
    if name in ("alpaca-farm", "lfqa-eval", "lit-trans"):
        assert cases[0].label == "B"


def test_every_config_of_a_hub_set_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked = []

    def load_dataset(path: str, config: str, *, split: str) -> list[dict]:
        asked.append((path, config, split))
        if len(asked) > 4:
            raise ConnectionError("no hub here")
        return [{"input": config, "targets": {"choices": ["b", "a"], "labels": [0, 1]}}]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert [case.subset for case in hub.hub_cases("hhh")] == ["harmless", "helpful", "honest", "other"]
    assert asked[0] == ("HuggingFaceH4/hhh_alignment", "harmless", "test")
    with pytest.raises(MissingError, match=r"hhh: HuggingFaceH4/hhh_alignment cannot be loaded \(ConnectionError\)"):
        hub.hub_cases("hhh")


def test_files_of_a_repository_are_read_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Through `datasets` itself, from a file in place of the address."""
    row = {"question": "q", "answer_a": "a", "answer_b": "b", "answer_a_type": "human", "answer_b_type": "gpt"}
    rows = [row | {"overall_preference": preference} for preference in (-1, 0, 1)]
    write_rows(tmp_path / "pairs.jsonl", rows)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    here = replace(hub.BENCHMARKS["lfqa-eval"], files=(str(tmp_path / "pairs.jsonl"),))
    monkeypatch.setattr(hub, "BENCHMARKS", {"lfqa-eval": here})
    assert [case.label for case in hub.hub_cases("lfqa-eval")] == ["A", "tie", "B"]


def test_what_is_not_on_the_hub_says_where_it_is() -> None:
    with pytest.raises(MissingError, match=r"github\.com/martiansideofthemoon/rankgen"):
        hub.hub_cases("rank-gen")
    with pytest.raises(SettingError, match="by name there are reward-bench, llm-aggrefact"):
        hub.hub_cases("no-such-set")


# The command


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    folder = tmp_path / "sets"
    folder.mkdir()
    write_rows(folder / "pairs.jsonl", [judgment(n, label="AB"[n % 2], meta={"models": ["x", "y"]}) for n in range(6)])
    write_rows(
        folder / "classes.jsonl",
        [
            judgment(n, kind="classification", label=("yes", "no", "no")[n % 3], meta={"classes": ["yes", "no", "so"]})
            for n in range(6)
        ],
    )
    write_rows(
        folder / "grades.jsonl",
        [judgment(n, kind="pointwise", label=n % 4, meta={"scale": [0, 3]}) for n in range(6)],
    )
    write_rows(folder / "best.jsonl", [{**REWARD_BENCH_2, "id": f"{kind}:1"} for kind in ("tied", "ref")])
    return folder


def command(*arguments: object):
    return CliRunner().invoke(app, ["judge", *map(str, arguments)])


@pytest.mark.parametrize("mode", ["pointwise", "pairwise", "encoded-once"])
def test_a_model_from_one_command(sets: Path, tmp_path: Path, tiny_model: Path, mode: str) -> None:
    out = tmp_path / "run"
    given = (sets, "--autorater", tiny_model, "--mode", mode, "--backend", "transformers", "--bias", "--out", out)
    result = command(*given)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {
        "run.toml", "answers.jsonl", "judge.json", "judge.md", "accuracy.png", "bias.png",
    }  # fmt: skip
    document = json.loads((out / "judge.json").read_text())
    assert [row["name"] for row in document["sets"]] == ["best", "toy_classification", "toy_pairwise", "toy_pointwise"]
    order = next(row for row in document["biases"] if row["name"] == "order, both orders averaged")
    assert order["value"]["value"] == 0.0
    if mode == "encoded-once":
        assert next(row for row in document["biases"] if row["name"] == "order")["value"]["value"] == 0.0
    assert document["num_unparsed"] == 0
    # A kill loses nothing: with half of the answers the same figures come back.
    rows = [row for _, row in read_rows(out / "answers.jsonl")]
    write_rows(out / "answers.jsonl", rows[: len(rows) // 2])
    again = command(*given)
    assert again.stdout == result.stdout
    assert {(row["case"], row["variant"]) for _, row in read_rows(out / "answers.jsonl")} == {
        (row["case"], row["variant"]) for row in rows
    }
    other = command(*given, "--seed", 1)
    assert (other.exit_code, "seed = 0, this call 1" in other.stderr) == (2, True)


def test_a_finished_run_loads_no_model(sets: Path, tmp_path: Path) -> None:
    def refuse():
        raise AssertionError("nothing is left to ask")

    settings = JudgeSettings("first")
    cases = measure.gather([str(sets)])
    folder = RunFolder(tmp_path / "run")
    measure.measure(folder, cases, settings)
    with Journal(tmp_path / "run" / "answers.jsonl", key=lambda row: (row["case"], row["variant"])) as journal:
        assert len(list(measure.answer_all(cases, settings, journal, refuse))) == len(cases)


def test_reasoning_from_one_command(sets: Path, tmp_path: Path, tiny_model: Path) -> None:
    given = ("--autorater", tiny_model, "--mode", "reasoning", "--max-tokens", 4, "--backend", "transformers")
    result = command(sets / "pairs.jsonl", *given, "--votes", 2, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    # Random weights say nothing that reads as a verdict: all ties, all counted.
    assert "12 questions, 24 answers, 24 without a verdict (100.0%)" in result.stdout


@pytest.mark.parametrize("rule", ["longest", "shortest", "first", "random"])
def test_rules_stand_where_the_baselines_say(sets: Path, tmp_path: Path, rule: str) -> None:
    result = command(sets, "--autorater", rule, "--json", "--out", tmp_path / rule)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    for row in document["sets"]:
        if rule in ("longest", "shortest") and row["main"] is not None:
            assert row["main"]["value"] == pytest.approx(row["baselines"][rule])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: no such file, folder or benchmark"),
        (["{sets}", "--mode", "both"], "'both' is not one of 'pointwise', 'pairwise', 'encoded-once', 'reasoning'"),
        (["{sets}", "--votes", "3"], "--votes 3: only --mode reasoning samples"),
        (["{sets}/empty.jsonl"], "nothing to measure there"),
        (["co-poet"], "github.com/vishakhpk/creative-instructions"),
    ],
)
def test_mistakes_are_one_line(sets: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    write_rows(sets / "empty.jsonl", [judgment(0, split="train")])
    result = command(*[each.format(sets=sets) for each in arguments], "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output
