"""Self-Taught Evaluators in one command: judge, keep what is right, fine-tune the seed, again (arXiv 2408.02666).

\b
    python scripts/sample_and_label.py ...                          # labels.jsonl.gz, with --modified samples in it
    python scripts/self_taught.py --base qwen2.5-coder-0.5b-instruct --labels labels.jsonl.gz --out runs/self_taught
    python scripts/self_taught.py --base MODEL --labels labels.jsonl.gz --seed 0 --seed 1 --seed 2 --dpo --out RUN
    python scripts/self_taught.py --base MODEL --labels labels.jsonl.gz --problems problems.jsonl.gz \\
        --samples samples.jsonl --modified modified.jsonl --out RUN # pairs as in the paper, the worse one not verified

The same command again goes on where a killed one stopped. OUT/seedN/roundR holds what judge R wrote (round 0 is the
seed model) and, from round 1 on, its training in train/. OUT/rounds.json, rounds.md and rounds.png have the figures:
how often a judgment agrees with execution, by majority vote and in both orders, and how often the judge picks a right
program. Small seed models write many bare verdicts: see --min-words.
HumanEval is for later: `rerank run --mode reasoning --autorater BASE+OUT/seed0/round3/train/scorer`.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rerank.errors import InputError, one_line
from rerank.training.recipes import self_taught, steps
from rerank.training.recipes.self_taught import JudgeWork, _run, _unverified

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    base: Annotated[str, typer.Option(help="The seed model: a folder, or a name that rerank knows.")],
    labels: Annotated[list[Path], typer.Option(help="Labelled programs, train and dev; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of fine-tuning from the seed.")] = 3,
    num_samples: Annotated[int, typer.Option("--n", min=1, help="Judgments of a pair in each order.")] = 15,
    votes: Annotated[int, typer.Option(min=1, help="Judgments of a dev question, put to the vote. Paper: 32.")] = 8,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest judgment, in tokens.")] = 1024,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of the judgments.")] = 0.7,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the judgments.")] = 0.9,
    max_pairs: Annotated[int, typer.Option(min=1, help="Pairs of a problem.")] = 1,
    num_pairs: Annotated[int | None, typer.Option(min=1, help="Training pairs in all. Default: every one.")] = None,
    num_dev_pairs: Annotated[int, typer.Option(min=0, help="Dev pairs that each judge is measured on.")] = 200,
    rank_problems: Annotated[int, typer.Option(min=0, help="Dev problems that each judge re-ranks.")] = 40,
    rank_programs: Annotated[int, typer.Option(min=2, help="Programs of each of them.")] = 4,
    min_words: Annotated[
        int, typer.Option(min=0, help="Shorter judgments are not learnt from: bare verdicts teach no evaluation.")
    ] = 0,
    only_modified: Annotated[
        bool, typer.Option("--only-modified", help="Only answers to a modified instruction as the worse program.")
    ] = False,
    problems: Annotated[Path | None, typer.Option(help="With --samples and --modified: unverified pairs.")] = None,
    samples: Annotated[Path | None, typer.Option(help="Samples of the problems; the first is the good one.")] = None,
    modified: Annotated[
        Path | None, typer.Option(help="Answers to modified instructions; the first is the worse.")
    ] = None,
    dpo: Annotated[
        bool, typer.Option("--dpo", help="A last round on preferences, DPO and NLL, from the last judge.")
    ] = False,
    preset: Annotated[str, typer.Option(help="Settings of the fine-tuning to start from.")] = "small",
    num_epochs: Annotated[int | None, typer.Option(min=1, help="Times that each kept judgment is shown.")] = None,
    num_steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps instead.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Tokens to predict a step, at least.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Default: the preset's.")] = None,
    pack_tokens: Annotated[int | None, typer.Option(help="Tokens of a packed sequence.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the adapter.")] = None,
    backend: Annotated[
        str, typer.Option(help="auto, transformers, vllm or openai: what writes the judgments.")
    ] = "auto",
    seed: Annotated[list[int] | None, typer.Option(help="A whole run each; repeatable. 0")] = None,
) -> None:
    from rerank.backends.interface import Sampling
    from rerank.models import weights
    from rerank.training.labels.rows import read_labels
    from rerank.training.scorer.presets import preset as named

    options = dict(locals())
    settings = named(
        preset,
        num_epochs=num_epochs,
        num_steps=num_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        pack_tokens=pack_tokens,
        rank=rank,
    )
    files = [*options.pop("labels"), *(options.pop(name) for name in ("problems", "samples", "modified"))]
    free = ["backend", "seed", *([] if dpo else ["rounds"])]  # the round of preferences follows a known last one
    if not any(out.glob("seed*/round1/train")):
        free += ["num_samples", "num_pairs", "min_words"]  # nothing is learnt yet: more judgments join those there
    steps.settle(out, "self_taught", options, [path for path in files if path], free=free)
    rows = read_labels(labels)
    unverified = _unverified(problems, samples, modified)
    is_folder = Path(base).is_dir()
    folder = Path(base) if is_folder else weights.resolve(base).folder
    found: list[dict[str, Any]] = []
    for number in seed or [0]:
        verified = self_taught.pairs_of(rows, seed=number, max_pairs=max_pairs, only_modified=only_modified)
        train = [pair for pair in (unverified or verified) if pair.split == "train"][:num_pairs]
        dev = [pair for pair in verified if pair.split == "dev"][:num_dev_pairs]
        if not train:
            raise InputError("no training pair: a problem needs a right program and a wrong one", path=labels[0])
        work = JudgeWork(
            base,
            backend,
            out / f"seed{number}" / "round0",
            tuple(train),
            tuple(dev),
            tuple(map(tuple, self_taught.to_rank(rows, num_problems=rank_problems, seed=number))),
            num_samples,
            votes,
            rank_programs,
            Sampling(temperature, top_p, max_tokens, number),
        )
        base_name = Path(base).name if is_folder else base
        for made in _run(work, replace(settings, seed=number), folder, base_name, rounds, dpo, min_words):
            found.append(made.to_row())
            (out / "rounds.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
            (out / "rounds.md").write_text(f"```\n{self_taught.table(found)}```\n", encoding="utf-8")
    # From the file: what is shown is what is kept, tuples and all.
    made_rounds = json.loads((out / "rounds.json").read_text(encoding="utf-8"))
    self_taught.plot({"verified" if not unverified else "not verified": made_rounds}, out / "rounds.png")
    print(self_taught.table(made_rounds), end="")


if __name__ == "__main__":
    with one_line():
        app()
