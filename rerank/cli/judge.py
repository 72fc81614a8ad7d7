"""`rerank judge`: how well an autorater judges."""

from typing import TYPE_CHECKING, Annotated

import typer

from rerank.cli.app import _guarded, app
from rerank.cli.options import AsJson, Backend, BackendName, BaseUrl, Fresh, Out, Seed, Weights, _options

if TYPE_CHECKING:
    pass


@app.command(epilog="Example: rerank judge judgments/heldout --autorater rerank-0.5b --per-set 256")
@_guarded
def judge(
    sets: Annotated[
        list[str],
        typer.Argument(
            help="Judgment files or folders of them, RewardBench's JSONL, or a benchmark by name: reward-bench, "
            "llm-aggrefact, ... `flame`: what the hub has of FLAMe's twelve."
        ),
    ],
    autorater: Annotated[
        str | None,
        typer.Option(help="A model as in `rerank run`, or longest, shortest, first, random. Default: the shipped one."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="pointwise: one response at a time; pairwise: two; encoded-once: each read once, then pairs; "
            "reasoning: two, with a written plan."
        ),
    ] = "pointwise",
    votes: Annotated[int, typer.Option(min=1, help="Samples of a reasoning autorater, put to a majority vote.")] = 1,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest written judgment, in tokens.")] = 1024,
    per_set: Annotated[int | None, typer.Option(min=1, help="Cases drawn from each set. Default: all.")] = None,
    bias: Annotated[bool, typer.Option("--bias", help="Measure CoBBLEr's biases on the pairs too.")] = False,
    own_model: Annotated[
        str | None, typer.Option(help="The name under which the judge's own responses stand in the data.")
    ] = None,
    backend: BackendName = Backend.auto,
    base_url: BaseUrl = None,
    weights: Weights = None,
    seed: Seed = 0,
    out: Out = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Measure an autorater on judgment sets: agreement with people and execution, beside rules, and its biases."""
    from rerank.judge_bench import measure, report
    from rerank.models.shipped import DEFAULT_AUTORATER
    from rerank.runs.folder import RunFolder

    settings = measure.JudgeSettings(
        autorater or DEFAULT_AUTORATER, mode, votes, max_tokens, per_set, bias, own_model, backend.value, seed
    )
    folder = RunFolder(out or measure.default_folder(sets, settings), fresh=fresh)
    purpose = "generate" if mode == "reasoning" else "judge"
    made = measure.measure(folder, measure.gather(sets), settings, options=_options(purpose, weights, base_url))
    typer.echo(report.to_json(made, folder.document()) if as_json else report.table(made), nl=False)
    if not as_json:
        typer.echo(f"\nwritten: {folder.path}/judge.md, judge.json, accuracy.png", err=True)
