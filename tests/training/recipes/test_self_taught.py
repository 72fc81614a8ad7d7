"""Self-Taught Evaluators: pairs, rejection and balance, preferences, and all rounds on a tiny model."""

import json
import math
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from recipe_runs import run, script

from rerank.backends.interface import GenerationRequest, Sample, Sampling
from rerank.errors import InputError
from rerank.store import Journal, content_hash, read_rows, write_rows
from rerank.testing import use_engines
from rerank.training.labels.rows import read_labels
from rerank.training.recipes import self_taught, self_taught_judgments
from rerank.training.recipes.self_taught_judgments import ORDERS, ProgramPair
from rerank.training.scorer.batch import collate, loss_sums, loss_weights, margins
from rerank.training.scorer.inputs import judgment_example, read_judgments
from rerank.training.scorer.presets import preset
from rerank.training.scorer.trainer import train

pytestmark = pytest.mark.filterwarnings(r"ignore:`\w*gradient_checkpointing\w*` is deprecated:FutureWarning")
DRAW = Sampling(0.7, 0.9, 64, 0)


class Writer:
    """A judge that writes short judgments: right with a chance that its model's name decides, sometimes no verdict."""

    has_chat_template = True

    def __init__(self, chance: float = 0.6):
        self.settings = {"engine": "fake"}
        self.chance = chance
        self.requests: list[GenerationRequest] = []

    def generate(
        self, requests: Iterable[GenerationRequest], num_samples: int, sampling: Sampling
    ) -> Iterator[tuple[GenerationRequest, list[Sample]]]:
        for request in requests:
            self.requests.append(request)
            first_is_right = "+" in request.text.partition("solution A:")[2].partition("solution B:")[0]
            yield request, [self._sample(request, index, sampling, first_is_right) for index in range(num_samples)]

    def _sample(self, request: GenerationRequest, index: int, sampling: Sampling, first_is_right: bool) -> Sample:
        draw = int(content_hash(sampling.seed, request.id, index), 16) / 2**64
        if draw > 0.95:
            return Sample("I cannot tell.", 5, "stop", -1.0)
        letter = "AB"[(draw < self.chance) != first_is_right]
        return Sample(f"a + {index} [[{letter}]]", 5, "stop" if index % 5 else "length", -1.0)

    def close(self) -> None:
        pass


@pytest.fixture
def pairs(labels: Path) -> list[ProgramPair]:
    return self_taught_judgments.pairs_of(read_labels([labels]), seed=0)


def judged(pairs: list[ProgramPair], num_samples: int = 8, chance: float = 0.6) -> list[dict]:
    with Journal(None, key=self_taught_judgments.row_key) as journal:
        return list(
            self_taught_judgments.sample(pairs, Writer(chance), journal, num_samples=num_samples, sampling=DRAW)
        )


# Pairs


def test_pairs_are_a_right_program_and_one_that_ran_and_was_wrong(labels: Path) -> None:
    rows = read_labels([labels])
    right = {(row.task_id, row.program): row.right for row in rows}
    found = self_taught_judgments.pairs_of(rows, seed=0, max_pairs=3)
    assert Counter(pair.problem.task_id for pair in found) == dict.fromkeys({row.task_id for row in rows}, 3)
    for pair in found:
        assert right[pair.problem.task_id, pair.better]
        assert not right[pair.problem.task_id, pair.worse]
        assert pair.text("ab").index(pair.better) < pair.text("ab").index(pair.worse)
        assert pair.text("ba").index(pair.worse) < pair.text("ba").index(pair.better)
    assert self_taught_judgments.pairs_of(reversed(rows), seed=0, max_pairs=3) == found


def test_answers_to_modified_instructions_come_first(labels: Path) -> None:
    rows = read_labels([labels])
    rows = [
        replace(row, origin="modified") if row.task_id == "toy/1" and row.program.endswith("5") else row for row in rows
    ]
    [pair] = [pair for pair in self_taught_judgments.pairs_of(rows, seed=0) if pair.problem.task_id == "toy/1"]
    assert pair.worse.endswith("5")
    only = self_taught_judgments.pairs_of(rows, seed=0, only_modified=True)
    assert [pair.problem.task_id for pair in only] == ["toy/1"]


def test_unverified_pairs_are_first_samples_as_they_come() -> None:
    problems = [
        {
            "task_id": f"p/{n}",
            "prompt": "Add.",
            "prompt_kind": "text",
            "entry_point": "f",
            "group": "g",
            "split": "train",
        }
        for n in range(4)
    ]
    code = "def f(a):\n    return a {} {}"
    samples = [{"task_id": f"p/{n}", "program": code.format("+", n)} for n in (0, 0, 1, 2)]
    samples[1]["program"] = code.format("+", 9)
    modified = [{"task_id": "p/0", "program": ""}, {"task_id": "p/0", "program": code.format("-", 1)}]
    modified += [{"task_id": "p/1", "program": code.format("+", 1)}, {"task_id": "p/3", "program": code.format("-", 1)}]
    [pair] = self_taught_judgments.unverified_pairs(problems, samples, modified)
    assert (pair.problem.task_id, pair.is_verified) == ("p/0", False)
    assert pair.better.endswith("+ 0")
    assert pair.worse.endswith("- 1")


# Judgments


def test_every_pair_is_judged_in_both_orders_and_not_twice(pairs: list[ProgramPair], tmp_path: Path) -> None:
    writer = Writer()
    path = tmp_path / "judgments.jsonl"
    with Journal(path, key=self_taught_judgments.row_key) as journal:
        some = list(self_taught_judgments.sample(pairs[:2], writer, journal, num_samples=3, sampling=DRAW))
    assert Counter((row["pair"], row["order"]) for row in some) == {
        (pair.key, order): 3 for pair in pairs[:2] for order in ORDERS
    }
    with Journal(path, key=self_taught_judgments.row_key) as journal:
        list(self_taught_judgments.sample(pairs[:3], writer, journal, num_samples=3, sampling=DRAW))
    assert len(writer.requests) == 6, "the third pair alone was asked in the second call"


def test_a_judgment_is_right_when_it_names_the_better_one(pairs: list[ProgramPair]) -> None:
    rows = judged(pairs, chance=1.0)
    told = [row for row in rows if row["verdict"]]
    assert all(row["is_right"] for row in told)
    assert {(row["order"], row["verdict"]) for row in told} == {("ab", "A"), ("ba", "B")}
    assert not any(row["is_right"] for row in rows if row["verdict"] is None)


def test_what_is_learnt_is_right_whole_and_balanced(pairs: list[ProgramPair]) -> None:
    rows = judged(pairs, chance=0.3)
    learnt = self_taught_judgments.rows_to_learn(pairs, rows, seed=0)
    right = {row["text"] for row in rows if row["is_right"] and row["is_whole"]}
    verdicts = Counter(row["target"][-3] for row in learnt)
    assert verdicts["A"] == verdicts["B"] > 0
    assert all(row["target"] in right for row in learnt)
    assert len({tuple(row["segments"]) for row in learnt}) == len(learnt), "one judgment a question"
    text_of = {pair.text(order): (pair, order) for pair in pairs for order in ORDERS}
    for row in learnt:
        pair, order = text_of[row["segments"][0]]
        assert row["target"].endswith("[[A]]" if order == "ab" else "[[B]]")
        assert row["group"] == pair.group
    assert self_taught_judgments.rows_to_learn(pairs, reversed(rows), seed=0) == learnt
    assert self_taught_judgments.rows_to_learn(pairs, rows, seed=1) != learnt


def test_bare_verdicts_can_be_left_out(pairs: list[ProgramPair]) -> None:
    rows = judged(pairs)
    longer = [{**row, "text": f"plan first, then {row['text']}"} if row["index"] % 2 else row for row in rows]
    assert any(len(row["target"].split()) < 5 for row in self_taught_judgments.rows_to_learn(pairs, longer, seed=0))
    learnt = self_taught_judgments.rows_to_learn(pairs, longer, seed=0, min_words=5)
    assert learnt
    assert all(row["target"].startswith("plan first") for row in learnt)
    only_a = [row for row in rows if row["order"] == "ab"]
    assert self_taught_judgments.rows_to_learn(pairs, only_a, seed=0) == [], "nothing that ends in B, so nothing"


def test_preferences_pair_a_right_and_a_wrong_judgment_of_one_question(pairs: list[ProgramPair]) -> None:
    found = self_taught_judgments.preferences(pairs, judged(pairs), seed=0)
    assert found
    assert Counter(row["target"][-3] for row in found)["A"] * 2 == len(found)
    for row in found:
        assert {row["target"][-3], row["rejected"][-3]} == {"A", "B"}


def test_agreement_by_hand() -> None:
    labels = [f"def f(a):\n    return a + {n}" for n in range(2)]
    from rerank.records import PublicProblem

    pair = ProgramPair(PublicProblem("t", "Add.", "f", "text"), "g", "dev", *labels)
    other = replace(pair, problem=PublicProblem("u", "Add.", "f", "text"), group="h")

    def rows(of: ProgramPair, order: str, verdicts: str) -> list[dict]:
        return [
            {
                "pair": of.key, "order": order, "index": index, "text": "", "is_whole": True,
                "verdict": None if verdict == "-" else verdict, "is_right": verdict == ("A" if order == "ab" else "B"),
            }
            for index, verdict in enumerate(verdicts)
        ]  # fmt: skip

    judgments = [
        *rows(pair, "ab", "AAB"),
        *rows(pair, "ba", "BBB"),
        *rows(other, "ab", "A-B"),
        *rows(other, "ba", "AA-"),
    ]
    found = self_taught_judgments.agreement([pair, other], judgments)
    assert (found.num_pairs, found.num_judgments) == (2, 12)
    assert found.right.value == pytest.approx(6 / 12)
    assert found.unparsed.value == pytest.approx(2 / 12)
    assert found.names_a.value == pytest.approx(5 / 10)
    assert found.majority.value == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    assert found.both_orders.value == 0.5
    assert self_taught_judgments.agreement([], judgments).right is None


# Learning


def test_a_model_learns_to_write_the_verdict_and_to_stop(base: Path, pairs: list[ProgramPair], tmp_path: Path) -> None:
    """What was learnt is written by the engine that judges: the prompt's tokens and the turn's end agree."""
    from rerank.backends.hf.engine import TransformersEngine
    from rerank.backends.interface import EngineOptions
    from rerank.models import weights

    rows = [self_taught_judgments.learnt_row(pair, "ab", "a + b [[A]]") for pair in pairs[:6]]
    write_rows(tmp_path / "learnt.jsonl", rows)
    settings = preset("small", num_steps=40, rank=4, pack_tokens=2048, batch_size=40, num_evaluations=1)
    settings = replace(settings, learning_rate=0.02)
    result = train(base, [], tmp_path / "out", settings, mixture=[tmp_path / "learnt.jsonl"])
    engine = TransformersEngine(
        weights.resolve(f"{base}+{result.folder}"), EngineOptions("generate", device="cpu", dtype="float32")
    )
    request = GenerationRequest("x", pairs[0].text("ab"), is_chat=True)
    [(_, [sample])] = engine.generate([request], 1, Sampling(0.0, 1.0, 40))
    assert (sample.text, sample.finish_reason) == ("a + b [[A]]", "stop")


def test_dpo_by_hand_and_where_it_starts(base: Path, pairs: list[ProgramPair], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rerank.backends.encoding import PromptEncoder
    from rerank.backends.hf import block_mask
    from rerank.training.scorer.batch import Scorer

    row = self_taught_judgments.learnt_row(pairs[0], "ab", "a + b [[A]]") | {"rejected": "no [[B]]"}
    write_rows(tmp_path / "p.jsonl", [row])
    [judgment] = read_judgments([tmp_path / "p.jsonl"])
    tokenizer = AutoTokenizer.from_pretrained(base)
    encoder = PromptEncoder(tokenizer, model="tiny", max_prompt_tokens=2048)
    model = block_mask.load(base, device=torch.device("cpu"), dtype=torch.float32).eval()
    example = judgment_example(encoder, replace(judgment, reference=0.25))
    batch = collate([example], encoder)
    with torch.no_grad():
        logits = Scorer(model)(batch.packed, batch.reads, batch.answers, batch.open_reads)
    # The same by one plain forward pass a text.
    plain = AutoModelForCausalLM.from_pretrained(base).eval()
    prompt = encoder.encode(judgment.prompt).tokens
    log_probability = []
    for words in (judgment.target, judgment.rejected):
        text = [*encoder(words), tokenizer.eos_token_id]
        with torch.no_grad():
            found = plain(torch.tensor([[*prompt, *text]])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        log_probability.append(float(found.gather(1, torch.tensor(text)[:, None]).sum()))
    chosen, rejected = log_probability
    margin = float(margins(batch, logits[1])[0])
    assert margin == pytest.approx(chosen - rejected, abs=1e-3)
    terms, sizes = loss_sums(batch, *logits, beta=0.1), loss_weights([example])
    assert float(terms["preference"]) == pytest.approx(math.log1p(math.exp(-0.1 * (margin - 0.25))), abs=1e-4)
    size = len(encoder(judgment.target)) + 1
    assert float(terms["answer"]) == pytest.approx(-chosen / size, abs=1e-4)
    assert sizes["answer"] == pytest.approx(1.0), "the rejected text is not learnt by itself"
    # At the first step of a training the margin is the reference's: the loss is log 2.
    settings = preset("small", num_steps=40, rank=2, pack_tokens=2048, batch_size=4, num_evaluations=1)
    settings = replace(settings, learning_rate=0.01, dropout=0.0)
    train(base, [], tmp_path / "out", settings, mixture=[tmp_path / "p.jsonl"])
    losses = [row["preference_loss"] for _, row in read_rows(tmp_path / "out" / "log.jsonl")]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert losses[-1] < 0.5 * losses[0]


# All rounds


@pytest.fixture
def writers() -> Iterator[list[str]]:
    """Stands in for the engines: judges of later rounds are right more often. The list is of the models opened."""
    opened: list[str] = []

    def open_engine(model: str, _options: object) -> Writer:
        opened.append(model)
        return Writer(0.5 if "+" not in model else 0.7)

    with use_engines(open_engine):
        yield opened


SMALL = (
    "--rounds", 2, "--n", 6, "--votes", 3, "--num-pairs", 8, "--rank-problems", 2, "--rank-programs", 3,
    "--num-steps", 1, "--rank", 2, "--pack-tokens", 2048, "--batch-size", 8, "--backend", "transformers",
)  # fmt: skip


def test_all_rounds_from_one_command(base: Path, labels: Path, tmp_path: Path, writers: list[str]) -> None:
    given = ("--base", base, "--labels", labels, "--out", tmp_path / "run", *SMALL, "--dpo")
    result = run("self_taught", *given)
    assert result.exit_code == 0, result.output + str(result.exception)
    rounds = json.loads((tmp_path / "run" / "rounds.json").read_text())
    assert (tmp_path / "run" / "rounds.png").read_bytes().startswith(b"\x89PNG")
    assert [row["number"] for row in rounds] == [0, 1, 2, 3]
    assert [row["num_sampled"] for row in rounds] == [0, 96, 96, 96]
    assert rounds[1]["dev"]["right"]["value"] > rounds[0]["dev"]["right"]["value"]
    assert all(row["picks"]["num_problems"] == 2 for row in rounds)
    assert all(row["num_kept"] % 2 == 0 for row in rounds)
    here = tmp_path / "run" / "seed0"
    # Every round is fine-tuned from the seed; the preference round goes on from the last judge.
    begun = [
        [entry["file"] for entry in json.loads((here / f"round{n}/train/scorer/scorer.json").read_text())["data"]]
        for n in (1, 2, 3)
    ]
    assert begun == [["learnt.jsonl"], ["learnt.jsonl"], ["learnt.jsonl", "scorer"]]
    assert any("rejected" in row for _, row in read_rows(here / "round3" / "learnt.jsonl"))
    assert [model.rpartition("+")[2].split("/")[-3:] for model in writers[1:]] == [
        [f"round{n}", "train", "scorer"] for n in (1, 2, 3)
    ]
    # Again: no judge is loaded, nothing is trained, the same table.
    writers.clear()
    again = run("self_taught", *given)
    assert (again.stdout, writers) == (result.stdout, [])
    # A second seed is a run of its own, and the table then ends in means.
    seeds = ("--rounds", 1, "--seed", 0, "--seed", 1, "--out", tmp_path / "seeds")
    more = run("self_taught", *given[:-1], *seeds)
    assert more.exit_code == 0, more.output
    assert "mean over 2 seeds (lowest to highest)" in more.stdout
    changed = run("self_taught", *given, "--n", 7)
    assert "num_samples = 6, this call 7" in str(changed.exception)


def test_a_judge_that_is_never_right_is_said_so(base: Path, labels: Path, tmp_path: Path) -> None:
    given = ("--base", base, "--labels", labels, "--out", tmp_path / "run", *SMALL, "--rounds", 1)
    with use_engines(lambda *_: Writer(0.0)):
        result = run("self_taught", *given)
    assert isinstance(result.exception, InputError)
    assert "none of 96 judgments can be learnt from" in str(result.exception)
    assert "\n" not in str(result.exception)
    # With more judgments it goes on, those there among them; from the first training on their number is settled.
    path = tmp_path / "run" / "seed0" / "round0" / "judgments.jsonl"
    first = path.read_text()
    with use_engines(lambda *_: Writer(0.5)):
        more = run("self_taught", *given, "--n", 12)
    assert more.exit_code == 0, str(more.exception)
    assert path.read_text().startswith(first)
    assert len(path.read_text().splitlines()) == 192
    assert "num_samples = 12, this call 13" in str(run("self_taught", *given, "--n", 13).exception)


def test_a_rounds_work_can_go_to_another_process(pairs: list[ProgramPair], labels: Path, tmp_path: Path) -> None:
    problems = tuple(map(tuple, self_taught_judgments.to_rank(read_labels([labels]), num_problems=2, seed=0)))
    work = self_taught.JudgeWork("m", "auto", tmp_path, tuple(pairs), tuple(pairs), problems, 2, 1, 4, DRAW)
    assert pickle.loads(pickle.dumps(work)) == work
    assert not work.is_done()


def test_unverified_pairs_need_all_three_files(base: Path, labels: Path, tmp_path: Path) -> None:
    result = run(
        "self_taught", "--base", base, "--labels", labels, "--out", tmp_path / "run", *SMALL, "--samples", labels
    )
    assert "all three" in str(result.exception)


def test_the_script_shows_its_manual() -> None:
    assert "Self-Taught Evaluators in one command" in (script("self_taught").__doc__ or "")
