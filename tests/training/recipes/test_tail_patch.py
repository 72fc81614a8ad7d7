"""FLAMe's three recipes: the rules of tail-patches against the paper's words, and each recipe whole on a tiny model."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from recipe_runs import SCRIPTS, run, write_judgments

from rerank.errors import ModelError, SettingError
from rerank.store import read_rows, write_rows
from rerank.training.recipes import tail_patch, tail_patch_report, task_effects
from rerank.training.recipes.task_effects import CATEGORIES, GENERAL, OTHERS, Effect, Rules
from rerank.training.scorer.presets import preset
from rerank.training.scorer.trainer import Trainer, train

pytestmark = pytest.mark.filterwarnings(r"ignore:`\w*gradient_checkpointing\w*` is deprecated:FutureWarning")
BEFORE = dict.fromkeys(CATEGORIES, 0.5)
RULES = Rules()


def effect(task: str = "t", *, before: dict | None = None, **gains: list[float] | float) -> Effect:
    """An effect from gains by category; a number is one evaluation."""
    start = before or BEFORE
    rows = {name: [gain] if isinstance(gain, float) else gain for name, gain in gains.items()}
    size = max(map(len, rows.values()), default=1)
    after = tuple(
        {name: start[name] + (rows[name][place] if name in rows else 0.0) for name in start} for place in range(size)
    )
    return Effect(task, start, after, 100)


RATINGS = [
    ([0.05, 0.05], 2, "significant and stable"),
    ([0.03], 2, "significant by just the threshold"),
    ([0.05, 0.005, 0.05], 1, "significant at the end, but it fell back on the way"),
    ([-0.05, 0.02, 0.05], 2, "what the first half does is not looked at"),
    ([0.029], 1, "slight"),
    ([0.01], 1, "slight by just the threshold"),
    ([0.009], 0, "nearly unchanged"),
    ([0.0], 0, "unchanged"),
    ([-0.029], 0, "slightly worse is no clear effect"),
    ([-0.03], -1, "significantly worse"),
    ([0.2, -0.1], -1, "the end counts"),
]


@pytest.mark.parametrize(("gains", "wanted", "_why"), RATINGS, ids=[row[2] for row in RATINGS])
def test_rating_rules(gains: list[float], wanted: int, _why: str) -> None:
    assert task_effects.rating(effect(code=gains), "code", RULES) == wanted


def test_what_was_not_measured_has_no_effect() -> None:
    assert task_effects.rating(Effect("t", {}, (), 3, "too long"), "code", RULES) == 0
    assert task_effects.rating(effect(before={"math": 0.5}, math=0.1), "code", RULES) == 0


def test_the_papers_example() -> None:
    """A task that is generally helpful and specific to Chat Hard and Safety weighs w_general + 2 w_specific."""
    rules = Rules(thresholds=dict.fromkeys(CATEGORIES, 0.95) | {"chat": 0.53, "safety": 0.53})
    helpful = effect("helpful", code=0.03, chat=0.04, safety=0.04)  # 2 + 2 + 2, and two thresholds crossed
    plain = effect("plain", math=0.02)
    found = task_effects.bundles([helpful, plain], rules)
    assert found == {
        GENERAL: ("helpful",),
        "code": (),
        "math": (),
        "factuality": (),
        "chat": ("helpful",),
        "safety": ("helpful",),
        OTHERS: ("plain",),
    }
    assert task_effects.task_weights(found, {}, rules) == {"helpful": 100_000 + 2 * 30_000, "plain": 3_000}


def test_a_total_of_five_is_generally_helpful_and_four_is_not() -> None:
    five, four = effect("five", code=0.1, math=0.1, chat=0.02), effect("four", code=0.1, math=0.1)
    assert task_effects.bundles([five, four], RULES)[GENERAL] == ("five",)


def test_the_best_two_of_a_weak_category_have_a_fixed_weight() -> None:
    before = {"code": 0.4, "math": 0.9, "factuality": 0.8, "chat": 0.5, "safety": 0.6}
    effects = [
        effect("best", before=before, code=0.10, math=0.1, chat=0.1),
        effect("second", before=before, code=0.05),
        effect("third", before=before, code=0.04),
        effect("worse", before=before, code=-0.2, safety=-0.1),
    ]
    assert task_effects.weak_categories(effects, RULES) == ("code", "chat", "safety")
    top = task_effects.top_tasks(effects, RULES)
    assert top == {"code": ("best", "second"), "chat": ("best",), "safety": ()}
    weights = task_effects.task_weights(task_effects.bundles(effects, RULES), top, RULES)
    assert weights == {"best": 200_000, "second": 200_000, "third": 30_000, "worse": 3_000}
    assert task_effects.weak_categories(effects, Rules(weak=("math",))) == ("math",)
    shown = tail_patch_report.table(effects, RULES)
    assert shown.splitlines()[2].split()[:3] == ["best", "+10.0", "(+2)"]
    assert "best of code" in shown


def test_rules_name_their_mistakes() -> None:
    with pytest.raises(SettingError, match="category codes: not one of code, math"):
        Rules(thresholds={"codes": 0.5})
    with pytest.raises(SettingError, match=r"--slight 0\.1: take a number from 0 to --significant"):
        Rules(slight=0.1)


def test_scores_pool_a_categorys_judgments_and_take_picks_into_code() -> None:
    dev = {
        "samples": {"pick_rate": 0.6, "pair_accuracy": 0.9},
        "judgments": {
            "bugsinpy_fix": {"num": 30, "accuracy": 0.5},
            "sven_secure_pair": {"num": 10, "accuracy": 0.9},
            "hh_helpful_base": {"num": 10, "accuracy": 0.4},
            "pandalm_preference": {"num": 10, "accuracy": 0.6},
            "halueval_span": {"num": 50, "accuracy": 0.0},  # open-ended: exact words, no agreement
            "mlqe_post_edit": {"num": 50, "accuracy": 1.0},  # translation is no target
        },
    }
    found = task_effects.scores(dev)
    assert found == {"code": pytest.approx((0.6 + 0.9 + 0.6) / 3), "chat": pytest.approx(0.5)}


def test_a_reweighted_mixture_keeps_proportions_and_dev(tmp_path: Path) -> None:
    rows = [{"task": task, "split": split} for task in ("a", "a", "b", "c") for split in ("train", "dev")]
    write_rows(tmp_path / "m.jsonl", rows)
    made = tail_patch.reweighted(tmp_path / "m.jsonl", {"a": 100_000, "b": 300_000, "gone": 5}, num_examples=40)
    train_rows = [row for row in made if row["split"] == "train"]
    assert [(row["task"], row["weight"]) for row in train_rows] == [("a", 5.0), ("a", 5.0), ("b", 30.0)]
    assert sum(row["split"] == "dev" for row in made) == 4


def test_how_many_examples_it_takes() -> None:
    slow = [(0, {"code": 0.5}), (100, {"code": 0.6}), (200, {"code": 0.7})]
    quick = [(0, {"code": 0.5}), (100, {"code": 0.75}), (200, {"code": 0.8})]
    shown = tail_patch_report.comparison({"opt": quick, "proportional": slow}).splitlines()
    assert shown[1].split() == ["opt", "200", "80.0", "80.0", "200", "100"]
    assert shown[2].split() == ["proportional", "200", "70.0", "70.0", "never", "200"]


# Whole recipes on a tiny model

TASKS = {"hh_helpful_base", "bugsinpy_fix", "code_pair"}
SMALL = ("--preset", "small", "--rank", 2, "--pack-tokens", 1024, "--batch-size", 8)


@pytest.fixture(scope="module")
def judgments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_judgments(tmp_path_factory.mktemp("judgments") / "files")


@pytest.fixture(scope="module")
def mixture(judgments: Path, labels: Path) -> Path:
    path = judgments.parent / "mixture.jsonl.gz"
    only = [part for task in TASKS for part in ("--only", task)]
    result = run("build_mixture", "--judgments", judgments, "--labels", labels, "--out", path, *only)
    assert result.exit_code == 0, result.output
    return path


def test_training_goes_on_from_a_scorer(base: Path, labels: Path, tmp_path: Path) -> None:
    settings = preset("small", num_steps=6, rank=2, pack_tokens=1024, batch_size=24, num_evaluations=1)
    settings = replace(settings, learning_rate=0.02)
    first = train(base, [labels], tmp_path / "first", settings)
    second = train(base, [labels], tmp_path / "second", settings, start=first.folder)
    begun = next(row for _, row in read_rows(tmp_path / "second" / "dev.jsonl"))
    shipped = json.loads((first.folder / "scorer.json").read_text())["best_step"]
    [ended] = [row for _, row in read_rows(tmp_path / "first" / "dev.jsonl") if row["step"] == shipped]
    # Shipped weights are rounded, so the figures agree up to that.
    assert begun["negative_log_likelihood"] == pytest.approx(ended["negative_log_likelihood"], abs=5e-3)
    card = json.loads((second.folder / "scorer.json").read_text())
    assert [entry["file"] for entry in card["data"]] == ["labels.jsonl", "scorer"]
    with pytest.raises(ModelError, match="not an adapter of this base at this --rank"):
        train(base, [labels], tmp_path / "third", replace(settings, rank=4), start=first.folder)


def test_a_recipe_keeps_its_last_weights_also_where_dev_fell(base: Path, labels: Path, tmp_path: Path) -> None:
    settings = preset("small", num_steps=6, rank=2, pack_tokens=1024, batch_size=24, num_evaluations=1)
    good = train(base, [labels], tmp_path / "good", replace(settings, learning_rate=0.02)).folder
    harm = replace(settings, num_steps=1, learning_rate=5.0, schedule="constant", warmup=0.0)
    for keep, step in (("best", 0), ("last", 1)):
        folder = train(base, [labels], tmp_path / keep, replace(harm, keep=keep), start=good).folder
        before, after = (row["criterion"] for _, row in read_rows(tmp_path / keep / "dev.jsonl"))
        assert after < before
        assert json.loads((folder / "scorer.json").read_text())["best_step"] == step


def test_full_training_goes_on_from_a_model(base: Path, labels: Path, tmp_path: Path) -> None:
    settings = preset("small", num_steps=4, pack_tokens=1024, batch_size=24, num_evaluations=1, full=True)
    settings = replace(settings, learning_rate=0.003)
    first = train(base, [labels], tmp_path / "first", settings)
    train(base, [labels], tmp_path / "second", settings, start=first.folder)
    begun = next(row for _, row in read_rows(tmp_path / "second" / "dev.jsonl"))
    shipped = json.loads((first.folder / "scorer.json").read_text())["best_step"]
    [ended] = [row for _, row in read_rows(tmp_path / "first" / "dev.jsonl") if row["step"] == shipped]
    assert begun["negative_log_likelihood"] == pytest.approx(ended["negative_log_likelihood"], abs=2e-2)


def test_flame_and_flame_rm_from_one_command(base: Path, judgments: Path, labels: Path, tmp_path: Path) -> None:
    given = ("--base", base, "--judgments", judgments, "--labels", labels, "--out", tmp_path, *SMALL)
    result = run("flame", *given, "--num-steps", 3, "--rm-steps", 2)
    assert result.exit_code == 0, result.output
    scorers = json.loads(result.stdout)
    cards = {name: json.loads((Path(folder) / "scorer.json").read_text()) for name, folder in scorers.items()}
    assert (cards["flame"]["num_steps"], cards["flame_rm"]["num_steps"]) == (3, 2)
    assert cards["flame_rm"]["settings"]["batch_size"] == 8
    assert cards["flame_rm"]["data"][1]["file"] == "scorer"
    shown: dict[str, float] = {}
    for _, row in read_rows(tmp_path / "rm_mixture.jsonl.gz"):
        if row["split"] == "train":
            shown[row["task"]] = shown.get(row["task"], 0) + row["weight"]
    assert len(shown) == 4
    assert len({round(size, 3) for size in shown.values()}) == 1, "four sets in equal parts"
    # Again: nothing is trained, the same scorers are named.
    changed = run("flame", *given, "--num-steps", 4, "--rm-steps", 2)
    assert "num_steps = 3, this call 4" in str(changed.exception)
    again = run("flame", *given, "--num-steps", 3, "--rm-steps", 2)
    assert json.loads(again.stdout) == scorers
    assert "trained already" in again.stderr
    missing = run("flame", *given[:4], "--out", tmp_path / "x", "--rm-task", "nothing")
    assert (missing.exit_code, "--rm-task nothing" in str(missing.exception)) == (1, True)


def test_tail_patches_end_to_end_and_go_on(base: Path, mixture: Path, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "opt"
    steps = ("--start-steps", 1, "--patch-steps", 1, "--patch-evaluations", 1, "--final-steps", 1)
    given = ("--base", base, "--mixture", mixture, "--labels", labels, "--out", out, *SMALL, *steps)
    first = run("tail_patch", *given, "--worker", "1/2")
    assert first.exit_code == 0, first.output
    assert "2 of 3 tasks are done" in first.stdout
    done = {path.name: path.stat().st_mtime_ns for path in (out / "tasks").iterdir()}
    assert len(done) == 2
    meanwhile = run("tail_patch", *given, "--train", "proportional")
    assert meanwhile.exit_code == 0, meanwhile.output
    trained = (out / "proportional" / "scorer" / "scorer.json").stat().st_mtime_ns
    assert not (out / "weights.json").exists(), "that training waits for no tail-patch"
    result = run("tail_patch", *given, "--against", "proportional", "--threshold", "code=0.0")
    assert result.exit_code == 0, result.output
    assert {path.stem for path in (out / "tasks").iterdir()} == TASKS, "weights of tail-patches are not kept"
    for name, changed in done.items():
        assert (out / "tasks" / name).stat().st_mtime_ns == changed, "a task is patched once"
    weights = json.loads((out / "weights.json").read_text())
    assert set(weights["weights"]) == TASKS
    assert set(weights["bundles"]["code"]) == TASKS, "every task reaches a share of 0"
    rows = [row for _, row in read_rows(out / "opt.jsonl.gz") if row["split"] == "train"]
    total = sum(row["weight"] for row in rows)
    for task in TASKS:
        share = sum(row["weight"] for row in rows if row["task"] == task) / total
        assert share == pytest.approx(weights["weights"][task] / sum(weights["weights"].values()), rel=1e-3)
    assert (out / "opt" / "scorer" / "scorer.json").exists()
    assert "to proportional" in (out / "compare.md").read_text()
    shown = [[row["examples"] for _, row in read_rows(out / name / "log.jsonl")] for name in ("opt", "proportional")]
    assert shown == [[8], [8]], "equally many, whatever the weights"
    assert (out / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "proportional" / "scorer" / "scorer.json").stat().st_mtime_ns == trained, "trained once"


def test_the_checkpoint_is_judged_once_for_all_patches(
    base: Path, mixture: Path, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = preset("small", num_steps=2, rank=2, pack_tokens=1024, batch_size=8, num_evaluations=1)
    start = train(base, [], tmp_path / "start", settings, mixture=[mixture]).folder
    data = tail_patch.read_data(mixture, [labels], max_dev=5, max_dev_problems=5)
    judged = []
    judge = Trainer.evaluate
    monkeypatch.setattr(Trainer, "evaluate", lambda trainer: (judged.append(trainer.step), judge(trainer)))
    given = {"base": base, "start": start, "settings": replace(settings, num_evaluations=2), "max_rows": 9}
    alone = [tail_patch.patch_elsewhere(task, data, **given) for task in sorted(TASKS)]
    assert judged == [0, 1, 2] * len(TASKS)
    judged.clear()
    together = [tail_patch.patch_task(task, data, tmp_path / "tasks", **given) for task in sorted(TASKS)]
    assert judged == [0, 1, 2] + [1, 2] * (len(TASKS) - 1)
    assert together == alone


def test_a_task_whose_rows_are_all_too_long_has_no_effect_and_says_why(
    base: Path, mixture: Path, labels: Path, tmp_path: Path
) -> None:
    settings = preset("small", num_steps=1, rank=2, pack_tokens=1024, batch_size=8, num_evaluations=1)
    start = train(base, [], tmp_path / "start", settings, mixture=[mixture]).folder
    data = tail_patch.read_data(mixture, [labels], max_dev=5, max_dev_problems=5)
    task = min(TASKS)
    long = replace(data, train={task: [row | {"segments": [500 * "long "]} for row in data.train[task]]})
    found = tail_patch.patch_elsewhere(task, long, base=base, start=start, settings=settings, max_rows=9)
    assert (found.before, found.after, found.note) == ({}, (), "none of its rows is short enough")


def test_commands_at_once_patch_each_task_once(base: Path, mixture: Path, labels: Path, tmp_path: Path) -> None:
    settings = preset("small", num_steps=1, rank=2, pack_tokens=1024, batch_size=8, num_evaluations=1)
    start = train(base, [], tmp_path / "start", settings, mixture=[mixture]).folder
    given = ("--base", base, "--mixture", mixture, "--labels", labels, *SMALL, "--start", start, "--no-train")
    command = [sys.executable, SCRIPTS / "tail_patch.py", *given, "--patch-steps", 2, "--out", tmp_path / "opt"]
    both = [subprocess.Popen([*map(str, command)], stdout=-1, stderr=-1, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0], "the same table"
    assert {path.name for path in (tmp_path / "opt" / "tasks").iterdir()} == {f"{task}.json" for task in TASKS}


def test_tail_patches_on_a_cluster_are_those_of_one_machine(
    base: Path, mixture: Path, labels: Path, tmp_path: Path
) -> None:
    ray = pytest.importorskip("ray")
    settings = preset("small", num_steps=1, rank=2, pack_tokens=1024, batch_size=8, num_evaluations=1)
    start = train(base, [], tmp_path / "start", settings, mixture=[mixture]).folder
    steps = ("--start", start, "--patch-steps", 1, "--patch-evaluations", 1, "--no-train")
    given = ("--base", base, "--mixture", mixture, "--labels", labels, *SMALL, *steps)
    assert run("tail_patch", *given, "--out", tmp_path / "here").exit_code == 0
    ray.init(num_cpus=2, object_store_memory=80 * 1024 * 1024, log_to_driver=False, include_dashboard=False)
    try:
        there = run("tail_patch", *given, "--out", tmp_path / "there", "--cluster", "ray", "--replicas", 2)
    finally:
        ray.shutdown()
    assert there.exit_code == 0, there.output
    for task in TASKS:
        files = [tmp_path / where / "tasks" / f"{task}.json" for where in ("here", "there")]
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--worker", "9/8"], "--worker 9/8: write I/N"),
        (["--worker", "2/2"], "worker 1 trains it, or give --start"),
        (["--threshold", "code"], "--threshold code: write category=share"),
        (["--against", "best"], "--against best: not one of proportional, equal"),
        (["--pack-tokens", "1000"], "--pack-tokens 1000: take a multiple of 128"),
    ],
)
def test_mistakes_are_named(base: Path, mixture: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    result = run("tail_patch", "--base", base, "--mixture", mixture, "--out", tmp_path / "out", *SMALL, *arguments)
    assert result.exit_code == 1
    assert words in str(result.exception)


def test_a_training_is_on_proportional_or_equal_weights() -> None:
    result = run("tail_patch", "--base", "b", "--mixture", "m", "--out", "o", "--train", "opt")
    assert result.exit_code == 2
    assert "'opt' is not one of 'proportional', 'equal'" in result.output
