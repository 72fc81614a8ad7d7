"""The mixture: every kind of judgment becomes legal rows, weights add up, and what is held out stays out."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from rerank.errors import InputError, SettingError
from rerank.store import write_rows
from rerank.training.mixture import build, hub
from rerank.training.mixture.build import Mixture
from rerank.training.mixture.judgments import MixtureRow, judgment_rows
from rerank.training.mixture.tasks import HELD_OUT, TASKS, mixture_task
from rerank.training.problems.decontaminate import Benchmark, BenchmarkText


def judgment(task: str, label: object, *, responses=("one", "two"), split: str = "train", **changes) -> dict:
    made = {
        "task": task,
        "source": "made up",
        "kind": TASKS[task].kind if task in TASKS else "pairwise",
        "capability": "other",
        "context": {"prompt": "Say a number."},
        "responses": list(responses),
        "label": label,
        "criterion": "Which is better?",
        "split": split,
        "meta": {},
    }
    return made | changes


def rows_of(task: str, label: object, **changes) -> list[MixtureRow]:
    return list(judgment_rows(TASKS[task], judgment(task, label, **changes)))


def test_every_task_is_well_defined() -> None:
    assert len(TASKS) == len({task.prompt.title for task in TASKS.values()})
    for task in TASKS.values():
        assert task.prompt.description.endswith((".", "?")), task.name
        assert all(len(answer) == 1 or answer in ("Yes", "No") for answer in task.prompt.answers), task.name
        assert set(task.classes.values()) <= set(task.prompt.answers), task.name
        assert bool(task.prompt.answers) == (task.kind != "open_ended"), task.name
        assert task.name not in HELD_OUT
        assert task.location not in HELD_OUT
        assert (task.origin == "hub") == (task.name in hub.HUB_SETS)
        assert task.licence


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "triple"}, "task new: form triple: not one of pair, grade"),
        ({"best": "perfect"}, "task new: form pair has no field best"),
        ({"form": "grade", "best": "perfect"}, "task new: lacks worst"),
        ({"capability": "cooking"}, "task new: capability cooking: not one of code, math"),
    ],
)
def test_a_table_of_tasks_toml_that_is_wrong_names_its_task(changes: dict, message: str) -> None:
    row = {"form": "pair", "capability": "code", "location": "me/mine", "licence": "MIT", "judged": "program"}
    row |= {"title": "Which?", "description": "Choose."}
    assert mixture_task("new", row).prompt.output_fields == "answer: A or B, the program chosen."
    with pytest.raises(InputError, match=message):
        mixture_task("new", row | changes)


def test_a_pair_stands_in_both_orders() -> None:
    first, second = rows_of("argument_convincing", "A")
    assert (first.target, second.target) == ("A", "B")
    assert [text.partition(":")[0] for text in first.segments[1:-1]] == ["prompt", "argument A", "argument B"]
    assert first.segments[2].replace("argument A", "") == second.segments[3].replace("argument B", "")
    assert first.group == second.group


@pytest.mark.parametrize(
    ("task", "label", "changes", "targets"),
    [
        ("argument_convincing", "tie", {}, []),
        ("quixbugs_python_correct", "buggy", {"responses": ["x"]}, ["No"]),
        ("begin_wizard", "generic", {"responses": ["x"]}, ["C"]),
        ("bbm_first_mistake", "none", {"responses": ["x"]}, ["0"]),
        ("bbm_first_mistake", "7", {"responses": ["x"]}, ["7"]),
        ("bbm_first_mistake", "12", {"responses": ["x"]}, []),  # no single digit
        ("conala_grade", 4.0, {"responses": ["x"], "meta": {"scale": [0, 4]}}, ["5"]),
        ("data_to_text_bagel", 1, {"responses": ["x"], "meta": {"scale": [1, 6]}}, ["1"]),
        ("research_idea_review", " Good. ", {"responses": ["x"]}, ["Good."]),
    ],
)
def test_each_kind(task: str, label: object, changes: dict, targets: list[str]) -> None:
    rows = rows_of(task, label, **changes)
    assert [row.target for row in rows] == targets
    for row in rows:
        assert row.segments[0].startswith("INSTRUCTIONS:\ntitle: ")
        assert row.segments[-1].endswith("EVALUATION:\nanswer:")
        assert not row.answers or row.target in row.answers


def test_the_question_is_shown_where_rows_differ_in_it() -> None:
    [row] = rows_of("sven_vulnerable", "secure", responses=["x"], criterion="Is this open to overflow?")
    assert "question:\nIs this open to overflow?\n\n" in row.segments


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "maybe"}, "has no class 'maybe'"),
        ({"task": "conala_grade", "meta": {}, "label": 3}, "no meta.scale"),
    ],
)
def test_odd_judgments_are_named(tmp_path: Path, changes: dict, message: str) -> None:
    write_rows(tmp_path / "x.jsonl", [judgment("quixbugs_python_correct", "buggy", responses=["x"]) | changes])
    with pytest.raises(InputError, match=f"line 1: .*{message}"):
        Mixture(seed=0).add_judgments(tmp_path / "x.jsonl")


@pytest.mark.parametrize(
    ("task", "split"),
    [
        ("argument_convincing", "heldout"),  # a row of a training task that its split holds out
        ("llmbar_natural", "train"),  # a benchmark dressed up as training data
        ("humanevalpack_python", "heldout"),
        ("never_heard_of", "train"),
    ],
)
def test_held_out_files_are_refused(tmp_path: Path, task: str, split: str) -> None:
    write_rows(tmp_path / "x.jsonl", [judgment(task, "A", split=split)])
    with pytest.raises(InputError, match="line 1"):
        Mixture(seed=0).add_judgments(tmp_path / "x.jsonl")


@pytest.mark.parametrize("changes", [{"task": "llmbar_natural"}, {"split": "heldout"}, {"task": "unheard"}])
def test_held_out_rows_are_refused(changes: dict) -> None:
    row = dataclasses.replace(rows_of("argument_convincing", "A")[0], **changes)
    with pytest.raises(InputError, match="held out"):
        Mixture(seed=0).add([row])


def test_text_of_a_benchmark_is_dropped_and_counted() -> None:
    words = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi"
    benchmark = Benchmark.of([BenchmarkText(words, "", "f", is_name_barred=False)])
    mixed = Mixture(seed=0, benchmark=benchmark)
    mixed.add(rows_of("argument_convincing", "A", responses=[f"I say {words}", "No."]))
    mixed.add(rows_of("argument_convincing", "A"))
    assert len(mixed.rows()) == 2
    assert sum(mixed.dropped.values()) == 2


def mixed(**sizes: int) -> Mixture:
    made = Mixture(seed=0, max_examples=40)
    for task, size in sizes.items():
        for number in range(size):
            made.add(rows_of(task, "A", responses=[f"{number}", "?"]))
    return made


def shown(rows: list[MixtureRow]) -> dict[str, float]:
    total: Counter = Counter()
    for row in rows:
        total[row.task] += row.weight
    return {task: round(value, 3) for task, value in total.items()}


def test_proportional_weights_and_the_cap() -> None:
    rows = mixed(argument_convincing=30, conala_preference=5).rows()
    assert shown(rows) == {"argument_convincing": 40, "conala_preference": 10}
    assert {row.weight for row in rows} == {1.0}
    both = Counter((row.group, row.target) for row in rows if row.task == "argument_convincing")
    assert sum(count for (_, target), count in both.items() if target == "A") == 20  # pairs stay whole under the cap


def test_equal_weights_show_as_many_in_all() -> None:
    rows = mixed(argument_convincing=15, conala_preference=5).rows("equal")
    assert shown(rows) == {"argument_convincing": 20, "conala_preference": 20}


def test_explicit_weights_choose_the_tasks() -> None:
    rows = mixed(argument_convincing=15, conala_preference=5).rows(explicit={"conala_preference": 100})
    assert shown(rows) == {"conala_preference": 100}
    with pytest.raises(SettingError, match="--weight webgpt_pair"):
        mixed(argument_convincing=1).rows(explicit={"webgpt_pair": 1})


@pytest.mark.parametrize("setting", ["code_pair", "code_pair=many", "code_pair=-1"])
def test_odd_weights_are_refused(setting: str) -> None:
    with pytest.raises(SettingError, match="--weight"):
        build.parse_weights([setting])


def test_dev_rows_weigh_one_and_come_last() -> None:
    made = mixed(argument_convincing=3)
    made.add(rows_of("argument_convincing", "B", split="dev"))
    rows = made.rows("equal")
    assert [row.split for row in rows] == ["train"] * 6 + ["dev"] * 2
    assert [row.weight for row in rows[-2:]] == [1.0, 1.0]


def test_the_order_depends_on_the_seed_alone() -> None:
    one, other = Mixture(seed=0), Mixture(seed=0)
    rows = [row for number in range(9) for row in rows_of("argument_convincing", "A", responses=[str(number), "?"])]
    one.add(rows)
    other.add(rows[::-1])
    assert one.rows() == other.rows()
    reseeded = Mixture(seed=1)
    reseeded.add(rows)
    assert one.rows() != reseeded.rows()


def test_the_table_names_every_task_with_its_share() -> None:
    rows = mixed(argument_convincing=15, conala_preference=5).rows()
    text = build.table(build.sizes(rows, build.estimated_tokens), {("x", "too odd"): 3})
    assert "argument_convincing" in text
    assert "75.0%" in text
    assert "dropped       3  x: too odd" in text


PRM_STEPS = [
    {"completions": [{"text": "Add.", "rating": 1}], "chosen_completion": 0},
    {"completions": [{"text": "Wrong.", "rating": -1}, {"text": "Right.", "rating": 1}], "chosen_completion": 1},
]


@pytest.mark.parametrize(
    ("name", "rows", "first", "num_rows"),
    [
        ("helpsteer_helpfulness", [{"prompt": "p", "response": "r", "helpfulness": 4}], "r", 1),
        ("helpsteer_correctness", [{"prompt": "p", "response": "r", "correctness": 0}], "r", 1),
        (
            "helpsteer_pair",
            [{"prompt": "p", "response": text, "helpfulness": grade} for text, grade in (("a", 3), ("b", 1), ("c", 1))],
            "a",
            2,
        ),
        ("prm800k_pair", [{"question": {"problem": "p"}, "label": {"steps": PRM_STEPS}}], "Right.", 2),
        (
            "commitpackft_pair",
            [{"commit": "c", "message": "m", "new_file": "f", "old_contents": "old", "new_contents": "new"}],
            "new",
            2,
        ),
        (
            "hh_rlhf_harmless_pair",
            [{"chosen": "\n\nHuman: x\n\nAssistant: no", "rejected": "\n\nHuman: x\n\nAssistant: yes"}],
            "no",
            2,
        ),
        ("hh_rlhf_helpful_pair", [{"chosen": "a\n\nAssistant: no", "rejected": "b\n\nAssistant: yes"}], "", 0),
        ("shp_pair", [{"post_id": "i", "history": "h", "human_ref_A": "a", "human_ref_B": "b", "labels": 1}], "a", 2),
        (
            "webgpt_pair",
            [{"question": {"full_text": "q"}, "answer_0": "x", "answer_1": "y", "score_0": 1, "score_1": -1}],
            "x",
            2,
        ),
        (
            "summarize_feedback_pair",
            [{"info": {"post": "p", "article": None}, "summaries": [{"text": "s"}, {"text": "t"}], "choice": 0}],
            "s",
            2,
        ),
    ],
)
def test_hub_sets_are_turned(name: str, rows: list[dict], first: str, num_rows: int) -> None:
    made = list(hub.converted(name, rows))
    assert len(made) == num_rows
    for row in made:
        assert row.target in row.answers
    if num_rows == 2:
        place = next(index for index, text in enumerate(made[0].segments) if text.startswith(TASKS[name].judged + " A"))
        assert made[0].segments[place] == f"{TASKS[name].judged} A:\n{first}\n\n"
        assert [row.target for row in made] == ["A", "B"]


def test_a_hub_set_that_has_changed_says_so() -> None:
    with pytest.raises(InputError, match=r"stanfordnlp/SHP has no field 'post_id'"):
        list(hub.converted("shp_pair", [{"history": "h"}]))
