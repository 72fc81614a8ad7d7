import math
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from rerank.backends.encoding import PromptEncoder
from rerank.candidates.programs import program_key
from rerank.errors import InputError
from rerank.prompts import Prompt
from rerank.records import PublicProblem
from rerank.store import write_rows
from rerank.training.labels.rows import Label
from rerank.training.scorer.inputs import (
    Judgment,
    LabelledProblem,
    exact_steps,
    fitting,
    is_solved,
    judgment_example,
    packs,
    read_judgments,
    read_problems,
    read_teacher,
    steps,
    stream,
    usable,
)
from rerank.training.scorer.presets import TrainSettings, preset

SETTINGS = preset("small", max_programs=4, pack_tokens=1024, num_pairs=2)


@pytest.fixture(scope="module")
def encoder(base: Path) -> PromptEncoder:
    return PromptEncoder(AutoTokenizer.from_pretrained(base), model="tiny", max_prompt_tokens=4096)


def _label(program: str, *, right: bool) -> Label:
    outcome = "passed" if right else "failed"
    return Label("p", "g", "train", "Do.", "text", "f", program, outcome, right, "sample")


def _problem(number: int, group: str, num_programs: int, num_right: int) -> LabelledProblem:
    programs = tuple(_label(f"x = {n}", right=n < num_right) for n in range(num_programs))
    return LabelledProblem(PublicProblem(f"p/{number}", f"Do {number}.", "f", "text"), group, "train", programs)


def test_an_epoch_shows_every_program_once_right_and_wrong_spread_evenly(encoder: PromptEncoder) -> None:
    problems = [_problem(number, f"g/{number}", 10, 3) for number in range(5)]
    examples = list(stream(problems, [], encoder, SETTINGS, num_epochs=1))
    shown = Counter((example.name, program.program) for example in examples for program in example.programs)
    assert set(shown.values()) == {1}
    assert len(shown) == 50
    for example in examples:
        assert 3 <= len(example.programs) <= 4
        assert sum(program.right for program in example.programs) == 1
        assert len(example.rankings) == len(example.programs) - 1


def test_the_seed_decides_everything_and_epochs_differ(encoder: PromptEncoder) -> None:
    problems = [_problem(number, f"g/{number}", 9, 4) for number in range(5)]
    settings = replace(SETTINGS, mode="encoded-once")

    def first(seed: int, count: int = 30) -> list:
        return list(islice(stream(problems, [], encoder, replace(settings, seed=seed)), count))

    assert first(0) == first(0)
    assert first(0) != first(1)
    assert first(0)[:15] != first(0)[15:]


def test_a_teacher_softens_the_labels_of_the_pairs_that_it_judged(encoder: PromptEncoder, tmp_path: Path) -> None:
    settings = replace(SETTINGS, mode="encoded-once", num_pairs=4, teacher_weight=0.5)
    right, wrong, unjudged = (program_key(f"x = {number}") for number in (0, 1, 2))
    rows = [(wrong, right, 3.0), (right, wrong, -1.0)]  # mean: the wrong one, by 2
    path = tmp_path / "comparisons.jsonl"
    write_rows(path, ({"task_id": "p/0", "first": a, "second": b, "log_odds": value} for a, b, value in rows))
    teacher = read_teacher([path])
    assert teacher == {("p/0", right, wrong): -2.0, ("p/0", wrong, right): 2.0}
    [example] = stream([_problem(0, "a", 3, 1)], [], encoder, settings, num_epochs=1, teacher=teacher)
    found = {program_key(example.programs[v.second].program): v.probability for v in example.verdicts}
    assert found == {wrong: pytest.approx(0.5 + 0.5 / (1 + math.exp(2.0))), unjudged: 1.0}
    path.write_text('{"task_id": "p/0"}\n')
    with pytest.raises(InputError, match=r"comparisons.jsonl, line 1: not a comparison"):
        read_teacher([path])


def test_a_share_of_encoded_once_examples_is_asked_jointly_too(encoder: PromptEncoder) -> None:
    problems = [_problem(number, f"g/{number}", 4, 2) for number in range(40)]
    alone = replace(SETTINGS, mode="encoded-once")

    def num_joint(settings: TrainSettings) -> int:
        return sum(bool(example.pairs) for example in stream(problems, [], encoder, settings, num_epochs=1))

    assert num_joint(alone) == 0
    assert 8 <= num_joint(replace(alone, joint_share=0.5)) <= 32
    assert num_joint(replace(alone, joint_share=1.0)) == num_joint(replace(alone, mode="joint")) == 40


def test_forms_of_one_task_weigh_as_one(encoder: PromptEncoder) -> None:
    problems = [_problem(0, "a", 4, 2), _problem(1, "b", 4, 2), _problem(2, "b", 4, 2)]
    weights = {e.name: e.weight for e in stream(problems, [], encoder, SETTINGS, num_epochs=1)}
    assert weights["p/1"] + weights["p/2"] == pytest.approx(weights["p/0"])
    assert sum(weights.values()) == pytest.approx(3)


def test_judgments_appear_as_often_as_they_weigh(encoder: PromptEncoder) -> None:
    prompt = Prompt(("Good?",), ("Yes", "No"))
    judgments = [Judgment("often", "train", prompt, "Yes", 2.0), Judgment("rare", "train", prompt, "No", 0.25)]
    seen = Counter(example.name for example in stream([], judgments, encoder, SETTINGS, num_epochs=400))
    assert seen["often"] == 800
    assert 70 < seen["rare"] < 130


def test_packs_hold_everything_once_and_no_more_than_fits(encoder: PromptEncoder) -> None:
    problems = [_problem(number, f"g/{number}", 2 + number, 1) for number in range(12)]
    examples = list(stream(problems, [], encoder, SETTINGS, num_epochs=1))
    packed = list(packs(examples, 1024, seed=0, window=16))
    assert Counter(id(e) for pack in packed for e in pack) == Counter(map(id, examples))
    sizes = [sum(example.layout.num_tokens for example in pack) for pack in packed]
    assert max(sizes) <= 1024
    assert len(packed) < len(examples)


@pytest.mark.parametrize("num_processes", [1, 3])
def test_steps_are_whole_packs_for_every_process(encoder: PromptEncoder, num_processes: int) -> None:
    problems = [_problem(number, f"g/{number}", 4, 2) for number in range(20)]
    packed = packs(stream(problems, [], encoder, SETTINGS), 1024, seed=0)
    for step in islice(steps(packed, batch_size=10, num_processes=num_processes), 20):
        assert len(step) % num_processes == 0
        assert sum(len(example.targets) for pack in step for example in pack) >= 10


def test_exact_steps_take_equally_many_examples_whatever_their_length(encoder: PromptEncoder) -> None:
    short = Judgment("choice", "train", Prompt(("Good?",), ("Yes", "No")), "Yes", 1.0)
    long = Judgment("text", "train", Prompt(("word " * 90,), ()), "a + 10 " * 9, 1.0)
    for judgment in (short, long):
        examples = list(stream([], [judgment] * 20, encoder, SETTINGS, num_epochs=1))
        found = list(exact_steps(examples, 1024, batch_size=6))
        assert [sum(map(len, packed)) for packed in found] == [6, 6, 6]
        assert {id(e) for packed in found for pack in packed for e in pack} == set(map(id, examples[:18]))
        assert all(sum(e.layout.num_tokens for e in pack) <= 1024 for packed in found for pack in packed)


@pytest.mark.parametrize("mode", ["pointwise", "joint", "encoded-once"])
def test_long_problems_are_split_and_what_cannot_fit_is_dropped(encoder: PromptEncoder, mode: str) -> None:
    texts = [(n, f"x = {n}\n" * size) for n in range(8) for size in (2, 20, 90)]
    programs = tuple(_label(text, right=n % 2 == 0) for n, text in texts)
    problem = LabelledProblem(PublicProblem("p", "Do.", "f", "text"), "g", "train", programs)
    [kept], num_dropped = usable([problem], encoder, pack_tokens=1024)
    assert 0 < num_dropped == len(programs) - len(kept.programs)
    examples = list(stream([kept], [], encoder, replace(SETTINGS, mode=mode, max_programs=24), num_epochs=1))
    assert all(example.layout.num_tokens <= 1024 for example in examples)
    assert sum(len(example.programs) for example in examples) == len(kept.programs)
    judgment = Judgment("t", "train", Prompt(("word " * 2000,), ("Yes", "No")), "Yes", 1.0)
    assert fitting([judgment], encoder, pack_tokens=1024) == ([], 1)


def test_free_text_is_predicted_token_by_token(encoder: PromptEncoder) -> None:
    example = judgment_example(encoder, Judgment("t", "train", Prompt(("Say it.",), ()), "a + 10", 1.0))
    text = encoder("a + 10")
    assert [target.answers[target.wanted] for target in example.targets] == list(text)
    assert example.layout.blocks[-1].tokens == text[:-1]
    assert example.weight * len(text) == pytest.approx(1.0)


def test_rows_become_problems_and_bad_ones_are_named(labels: Path, tmp_path: Path) -> None:
    problems = read_problems([labels])
    assert [len(problem.programs) for problem in problems] == [6] * 24
    row = {"task": "t", "split": "train", "segments": ["Good?"], "answers": ["Yes", "No"], "target": "Yes"}
    path = tmp_path / "mixture.jsonl"
    write_rows(path, [row, {key: value for key, value in row.items() if key != "target"}])
    with pytest.raises(InputError, match=r"line 2: not a row of a mixture \(missing 'target'\)"):
        read_judgments([path])
    write_rows(path, [{**row, "target": "Maybe"}])
    with pytest.raises(InputError, match="line 1: the target 'Maybe' is none of the answers"):
        read_judgments([path])


def test_solved_problems_have_both_sides_among_their_samples(labels: Path) -> None:
    [problem, *_] = read_problems([labels])
    assert is_solved(problem)
    made = tuple(replace(each, origin="mutation") if not each.right else each for each in problem.programs)
    assert not is_solved(replace(problem, programs=made))
