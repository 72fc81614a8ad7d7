"""Train a scorer: a causal language model that judges, by an adapter or by all its weights.

    train("models/qwen-0.5b", ["labels.jsonl.gz"], "runs/scorer", preset("small", time_budget_s=600))

What is in `out` afterwards (the first four while it trains, too):

    log.jsonl         a row per step: losses, learning rate, tokens, seconds
    dev.jsonl         a row per evaluation
    curves.png        both
    dev_scores.jsonl  at the end: every dev program's log-odds by the shipped weights, before temperature scaling
    checkpoint.pt     where to go on; best.pt: the trained weights to ship so far (`keep`)
    scorer/           the adapter (or the model), as safetensors, its tokenizer, and scorer.json, which inference reads

The same call goes on where a killed one stopped. On a CPU it then computes the same losses to the bit, because all that
is random is drawn anew from the seed and the step's number.

Not here: sharding. Each GPU holds the whole model, so a model that is trained whole must fit one.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, gather_object, reduce

from rerank import prompts
from rerank.backends.encoding import PromptEncoder
from rerank.backends.hf import block_mask
from rerank.errors import InputError, ModelError, NoTrainingRowsError, ResumeError, SettingError
from rerank.models import scorer_card
from rerank.store import Row, content_hash, encode_row, file_hash, read_rows, write_rows
from rerank.training.scorer import curves, inputs, trained_model
from rerank.training.scorer.batch import Batch, Scorer, collate, judge, loss_sums, loss_weights, margins
from rerank.training.scorer.evaluate import DevScores, JudgedExample, pair_mode
from rerank.training.scorer.inputs import Example
from rerank.training.scorer.presets import TrainSettings

Report = Callable[[str], None]
MAX_DEV_JUDGMENTS = 200  # of a task of the mixture, in an evaluation
_CHECKPOINTED = ("step", "progress", "loop_s", "evaluation_s", "evaluated_step", "best")  # of a run, in its checkpoint


def learning_rate(settings: TrainSettings, progress: float) -> float:
    """At `progress`, the share of the training that is done, in [0, 1]."""
    if progress < settings.warmup:
        return settings.learning_rate * progress / settings.warmup
    left = (1 - progress) / (1 - settings.warmup)
    shape = {"constant": 1.0, "linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2}
    return settings.learning_rate * shape[settings.schedule]


@dataclass(frozen=True, slots=True)
class TrainResult:
    folder: Path  # the scorer
    num_steps: int
    seconds: float  # wall clock, earlier parts included
    dev: Row  # figures of the shipped weights, after temperature scaling


def train(
    base: str | Path,
    labels: Sequence[str | Path],
    out: str | Path,
    settings: TrainSettings,
    *,
    mixture: Sequence[str | Path] = (),
    teacher: Sequence[str | Path] = (),
    start: str | Path | None = None,
    base_name: str | None = None,
    report: Report = lambda _: None,
    on_step: Callable[[Row], None] = lambda _: None,
) -> TrainResult:
    """Train on labelled programs and judgments, and leave a scorer in `out`/scorer. See the module.

    `teacher` are comparisons of labelled programs by another scorer: encoded-once verdicts learn from them as well.
    `start` is a scorer of the same base to go on from: its adapter, or with `full` all its weights.
    `base_name` is what the scorer says it belongs to; by default the base as given, without its folder.
    `report` gets a line now and then, `on_step` each row of the log.
    """
    trainer = Trainer(base, out, settings, labels=labels, mixture=mixture, teacher=teacher, start=start, report=report)
    trainer.fit(on_step)
    return trainer.finish(base_name or Path(base).name)


class Trainer:
    """One training: the model, its optimizer, and where they stand, taken up where an earlier call left them.

        trainer = Trainer(base, out, settings, mixture=["mixture.jsonl"])
        trainer.fit()
        trainer.evaluations()  # dev along the way; `finish` would leave a scorer as well

    The arguments are those of `train`. Raises NoTrainingRowsError where the data leave nothing to train on.
    """

    def __init__(
        self,
        base: str | Path,
        out: str | Path,
        settings: TrainSettings,
        *,
        labels: Sequence[str | Path] = (),
        mixture: Sequence[str | Path] = (),
        teacher: Sequence[str | Path] = (),
        start: str | Path | None = None,
        report: Report = lambda _: None,
    ):
        self.started = time.monotonic()
        self.base, self.out, self.settings = base, Path(out), settings
        is_cuda = torch.cuda.is_available()
        self.accelerator = Accelerator(mixed_precision="bf16" if is_cuda else "no", cpu=not is_cuda)
        self.report = report if self.accelerator.is_main_process else lambda _: None
        self.out.mkdir(parents=True, exist_ok=True)
        self.data = [{"file": Path(path).name, "sha256": file_hash(path)} for path in (*labels, *mixture, *teacher)]
        self.teacher = inputs.read_teacher(teacher)
        self.tokenizer, model = trained_model.load(
            start or base if settings.full else base, settings, self.accelerator.device
        )
        if start is not None:
            self.data.append(trained_model.begin_from(model, Path(start), is_full=settings.full))
        # A prompt longer than a pack is never cut: `_read` leaves it out.
        self.encoder = PromptEncoder(self.tokenizer, model=str(base), max_prompt_tokens=settings.pack_tokens)
        self._read(labels, mixture)
        if not self.problems and not self.judgments:
            raise NoTrainingRowsError("no row of the training split is left; see --pack-tokens and --all-problems")
        self.attention = self._attention(model)
        self.num_tokens = settings.pack_tokens if self.attention == "flex" else None
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        num_trained = sum(parameter.numel() for parameter in trained)
        self.report(f"{num_trained:,} weights to train, {num_trained * 2 / 2**20:.1f} MiB in bfloat16")
        optimizer = torch.optim.AdamW(trained, lr=0.0, weight_decay=settings.weight_decay, fused=is_cuda)
        self.model = model
        self.scorer, self.optimizer = self.accelerator.prepare(Scorer(model), optimizer)
        # Before a checkpoint is taken up: the reference is the model that the training starts from.
        self._set_references()
        self.num_steps = settings.num_steps or settings.num_epochs * sum(1 for _ in self._steps(num_epochs=1))
        if not self.num_steps:
            raise InputError("the training split is too small for one step; lower --batch-size")
        self.step = 0  # optimizer steps done
        self.progress = 0.0  # share of the training done, by steps or by the clock
        self.earlier_s = 0.0  # wall clock of the parts before this one
        self.loop_s: float | None = None  # wall clock when the first step began
        self.evaluation_s = 0.0  # of the last evaluation
        self.best: dict[str, Any] | None = None  # step and dev criterion of the best evaluation
        self.evaluated_step = -1
        self._resume()

    # Data

    def _read(self, labels: Sequence[str | Path], mixture: Sequence[str | Path]) -> None:
        size = self.settings.pack_tokens
        problems, num_long = inputs.usable(inputs.read_problems(labels), self.encoder, pack_tokens=size)
        judgments, num_long_rows = inputs.fitting(inputs.read_judgments(mixture), self.encoder, pack_tokens=size)
        unknown = ({p.split for p in problems} | {j.split for j in judgments}) - {"train", "dev"}
        if unknown:
            raise InputError(f"a split is train or dev, not {', '.join(sorted(unknown))}")
        self.problems = [problem for problem in problems if problem.split == "train"]
        if self.settings.only_solved:
            self.problems = [problem for problem in self.problems if inputs.is_solved(problem)]
        self.judgments = [judgment for judgment in judgments if judgment.split == "train"]
        dev_problems = [problem for problem in problems if problem.split == "dev"]
        dev_judgments = inputs.first_of_each_task([j for j in judgments if j.split == "dev"], MAX_DEV_JUDGMENTS)
        # All programs of a problem together, and the same pairs at every evaluation and for every seed.
        whole = replace(self.settings, max_programs=10**6, seed=0)
        self.dev_examples = list(inputs.stream(dev_problems, dev_judgments, self.encoder, whole, num_epochs=1))
        self.counts = {
            "problems": len(self.problems),
            "programs": sum(len(problem.programs) for problem in self.problems),
            "judgments": len(self.judgments),
            "dev_problems": len(dev_problems),
            "dev_programs": sum(len(problem.programs) for problem in dev_problems),
            "dev_judgments": len(dev_judgments),
            "dropped_too_long": num_long + num_long_rows,
        }
        self.report(", ".join(f"{key.replace('_', ' ')} {value:,}" for key, value in self.counts.items()))

    @torch.no_grad()
    def _set_references(self) -> None:
        """Say of each preference how much likelier its target than its rejected text is to the model as it is now."""
        places = [place for place, judgment in enumerate(self.judgments) if judgment.rejected is not None]
        examples = [inputs.judgment_example(self.encoder, self.judgments[place]) for place in places]
        place_of = {id(example): place for example, place in zip(examples, places, strict=True)}
        self.scorer.eval()
        for packed in inputs.packs(examples, self.settings.pack_tokens):
            batch = self._batch(packed)
            _, open_logits = self.scorer(batch.packed, batch.reads, batch.answers, batch.open_reads)
            for example, margin in zip(packed, margins(batch, open_logits).tolist(), strict=True):
                place = place_of[id(example)]
                self.judgments[place] = replace(self.judgments[place], reference=margin)

    def _steps(self, *, num_epochs: int | None = None) -> Iterator[list[list[Example]]]:
        examples = inputs.stream(
            self.problems, self.judgments, self.encoder, self.settings, num_epochs=num_epochs, teacher=self.teacher
        )
        size, num_processes = self.settings.batch_size, self.accelerator.num_processes
        if self.settings.batch_of == "examples":
            if num_processes > 1:
                raise SettingError("--batch-of examples: takes one process, since a step may be a single pack")
            return inputs.exact_steps(examples, self.settings.pack_tokens, batch_size=size)
        packed = inputs.packs(examples, self.settings.pack_tokens, seed=self.settings.seed)
        return inputs.steps(packed, batch_size=size, num_processes=num_processes)

    def _batch(self, examples: Sequence[Example], *, over_vocabulary: bool = False) -> Batch:
        return collate(
            examples,
            self.encoder,
            over_vocabulary=over_vocabulary,
            device=self.accelerator.device,
            num_tokens=self.num_tokens,
            attention=self.attention,
        )

    def _attention(self, model: Any) -> block_mask.AttentionKind:
        if self.settings.attention != "auto":
            return self.settings.attention
        if self.accelerator.device.type != "cuda":
            return "dense"
        config = model.config
        num_heads = config.num_attention_heads
        reason = block_mask.check_flex(
            self.accelerator.device,
            num_tokens=self.settings.pack_tokens,
            num_heads=num_heads,
            num_key_heads=getattr(config, "num_key_value_heads", None) or num_heads,
            head_size=getattr(config, "head_dim", None) or config.hidden_size // num_heads,
        )
        self.report(f"FlexAttention left out: {reason}" if reason else "FlexAttention agrees with dense attention")
        return "dense" if reason else "flex"

    # Training

    @property
    def elapsed_s(self) -> float:
        """Wall clock of the training so far; on several processes the first one's, so that all decide alike.

        All processes must ask together.
        """
        here = self.earlier_s + time.monotonic() - self.started
        if self.accelerator.num_processes == 1:
            return here
        return float(broadcast(torch.tensor(here, dtype=torch.float64, device=self.accelerator.device)))

    def fit(self, on_step: Callable[[Row], None] = lambda _: None, *, judge_first: bool = True) -> None:
        """Train to the end; `on_step` gets each row of the log.

        Without `judge_first` dev is not judged before the first step: for whoever knows the figures of `start`.
        """
        settings = self.settings
        if self.step == 0 and self.loop_s is None:
            if judge_first:
                self.evaluate()
            self.loop_s = self.elapsed_s
            self._save()
        seconds = 0.0  # of the last step
        for index, packed in enumerate(self._steps()):
            if index < self.step:
                continue
            begun = self.elapsed_s
            if self.step == self.num_steps or self._is_over(begun, 1.5 * seconds):
                break
            row = self._step(packed, begun)
            seconds = self.elapsed_s - begun
            row |= {"seconds": round(seconds, 3), "tokens_per_s": round(row["tokens"] / seconds)}
            if self.accelerator.is_main_process:
                with open(self.out / "log.jsonl", "a", encoding="utf-8") as file:
                    file.write(encode_row(row))
            on_step(row)
            before, self.progress = self.progress, self._progress_after(self.step, self.elapsed_s)
            if int(before * settings.num_evaluations) < int(self.progress * settings.num_evaluations):
                self.evaluate()
                self._save()
        if self.evaluated_step < self.step:
            self.evaluate()

    def _progress_after(self, num_steps: float, elapsed_s: float) -> float:
        done = num_steps / self.num_steps
        if self.settings.time_budget_s is not None and self.loop_s is not None:
            # The schedule ends with the time: a rate that is still high at the end costs quality.
            span = self.settings.time_budget_s - self._reserve_s - self.loop_s
            done = max(done, (elapsed_s - self.loop_s) / span if span > 0 else 1.0)
        return min(1.0, max(self.progress, done))

    @property
    def _reserve_s(self) -> float:
        """What the end needs: two evaluations (the last one and that of the shipped weights) and writing."""
        return 2.2 * self.evaluation_s + 3.0

    def _is_over(self, elapsed_s: float, step_s: float) -> bool:
        budget = self.settings.time_budget_s
        return budget is not None and elapsed_s + step_s + self._reserve_s > budget

    def _step(self, packed: Sequence[Sequence[Example]], elapsed_s: float) -> Row:
        """One optimizer step over the packs of all processes; the row for the log."""
        settings, accelerator = self.settings, self.accelerator
        torch.manual_seed(int(content_hash(settings.seed, self.step, accelerator.process_index), 16))  # dropout
        self.scorer.train()
        rate = learning_rate(settings, self._progress_after(self.step + 0.5, elapsed_s))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        totals = loss_weights([example for examples in packed for example in examples])
        factors = {"answer": 1.0, "ranking": settings.ranking_weight, "verdict": 1.0}
        factors["preference"] = settings.preference_weight
        mine = packed[accelerator.process_index :: accelerator.num_processes]
        sums = dict.fromkeys(factors, torch.zeros((), device=accelerator.device))
        for number, examples in enumerate(mine, 1):
            batch = self._batch(examples, over_vocabulary=settings.loss == "vocabulary")
            # Gradients are exchanged once a step, at its last pack.
            with accelerator.no_sync(self.scorer) if number < len(mine) else nullcontext():
                logits = self.scorer(batch.packed, batch.reads, batch.answers, batch.open_reads)
                terms = loss_sums(batch, *logits, beta=settings.preference_beta)
                loss = sum(factors[name] * term / totals[name] for name, term in terms.items() if totals[name])
                # Data-parallel training averages over the processes; the loss is a sum over them.
                accelerator.backward(loss * accelerator.num_processes)
            sums = {name: sums[name] + term.detach() for name, term in terms.items()}
        norm = accelerator.clip_grad_norm_(self.scorer.parameters(), settings.max_gradient_norm)
        sums = reduce(sums, reduction="sum") if accelerator.num_processes > 1 else sums
        means = {name: float(sums[name]) / totals[name] for name in factors if totals[name]}
        loss_value = sum(factors[name] * mean for name, mean in means.items())
        if not math.isfinite(loss_value) or not math.isfinite(float(norm)):
            raise ModelError(
                f"step {self.step + 1}: the loss or its gradient is not finite ({loss_value:.3g}, {float(norm):.3g}); "
                "lower --learning-rate, or take --attention dense"
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return {
            "step": self.step,
            "loss": loss_value,
            **{f"{name}_loss": mean for name, mean in means.items()},
            "gradient_norm": float(norm),
            "learning_rate": rate,
            "examples": sum(map(len, packed)),
            "judgments": sum(len(example.targets) for examples in packed for example in examples),
            "tokens": sum(example.layout.num_tokens for examples in packed for example in examples),
        }

    # Evaluation

    def evaluations(self) -> list[Row]:
        """The rows of dev.jsonl so far: what each evaluation said."""
        return [row for _, row in read_rows(self.out / "dev.jsonl")]

    def evaluate(self) -> None:
        """Judge dev, note the figures, and keep the weights if they are the ones to ship so far."""
        begun = self.elapsed_s
        dev = self._judge_dev()
        self.evaluation_s = self.elapsed_s - begun
        row = {"step": self.step, "progress": round(self.progress, 4), "criterion": dev.criterion}
        row |= {**dev.figures(), "seconds": round(self.evaluation_s, 2)}
        self.evaluated_step = self.step
        # Of equals the later; without a dev split, the latest.
        is_best = self.best is None or dev.criterion is None or dev.criterion >= self.best["criterion"]
        if is_best or self.settings.keep == "last":
            self.best = {"step": self.step, "criterion": dev.criterion}
            self._write("best.pt", self._trained())
        if self.accelerator.is_main_process:
            with open(self.out / "dev.jsonl", "a", encoding="utf-8") as file:
                file.write(encode_row(row))
            curves.draw(self.out)
        self.report(f"step {self.step}: dev {curves.figures_line(row)}")

    @torch.no_grad()
    def _judge_dev(self) -> DevScores:
        self.scorer.eval()
        examples = self.dev_examples
        number_of = {id(example): number for number, example in enumerate(examples)}
        packed = list(inputs.packs(examples, self.settings.pack_tokens, window=len(examples) or 1))
        numbered: list[tuple[int, JudgedExample]] = []
        for mine in packed[self.accelerator.process_index :: self.accelerator.num_processes]:
            batch = self._batch(mine)
            logits, open_logits = self.scorer(batch.packed, batch.reads, batch.answers, batch.open_reads)
            judged = judge(batch, mine, logits, open_logits)
            numbered += [(number_of[id(example)], scores) for example, scores in zip(mine, judged, strict=True)]
        if self.accelerator.num_processes > 1:
            numbered = gather_object(numbered)
        scores_of = dict(numbered)
        of_example = [(example, scores_of[number]) for number, example in enumerate(examples)]
        return DevScores.collect(of_example, pair_mode=pair_mode(self.settings.mode))

    # Files

    def _resume(self) -> None:
        """Take up the checkpoint, if there is one, and forget what was logged after it."""
        path = self.out / "checkpoint.pt"
        if (self.out / "scorer" / scorer_card.CARD).exists():
            raise ResumeError(f"{self.out}: holds a finished scorer; take another --out")
        if not path.exists():
            if self.accelerator.is_main_process:
                for name in ("log.jsonl", "dev.jsonl"):
                    write_rows(self.out / name, [])
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        here = self._identity()
        for key, value in here.items():
            if state["identity"].get(key) != value:
                raise ResumeError(f"{self.out}: was begun with {key} {state['identity'].get(key)}, not {value}")
        self._load_trained(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in _CHECKPOINTED:
            setattr(self, name, state[name])
        self.earlier_s = state["elapsed_s"]
        if self.accelerator.is_main_process:
            for name in ("log.jsonl", "dev.jsonl"):
                rows = [row for _, row in read_rows(self.out / name) if row["step"] <= self.step]
                write_rows(self.out / name, rows)
        self.report(f"going on after step {self.step}")

    def _identity(self) -> Row:
        """What must be the same for a run to go on. The budget may grow: a run may be given more time."""
        settings = {key: value for key, value in asdict(self.settings).items() if key != "time_budget_s"}
        return {**settings, "data": [entry["sha256"] for entry in self.data], "steps": self.num_steps}

    def _save(self) -> None:
        state = {
            "identity": self._identity(),
            "trained": self._trained(),
            "optimizer": self.optimizer.state_dict(),
            "elapsed_s": self.elapsed_s,
            **{name: getattr(self, name) for name in _CHECKPOINTED},
        }
        self._write("checkpoint.pt", state)

    def _write(self, name: str, state: Any) -> None:
        """Through a temporary name: a kill leaves the old file or the new one."""
        if self.accelerator.is_main_process:
            torch.save(state, self.out / f"{name}.part")
            (self.out / f"{name}.part").replace(self.out / name)
        self.accelerator.wait_for_everyone()

    def _trained(self) -> dict[str, torch.Tensor]:
        return {name: weight.detach() for name, weight in self.model.named_parameters() if weight.requires_grad}

    @torch.no_grad()
    def _load_trained(self, state: dict[str, torch.Tensor]) -> None:
        for name, weight in self._trained().items():
            weight.copy_(state[name])

    def finish(self, base_name: str) -> TrainResult:
        """Ship the kept weights: round them as they will be stored, fit the temperatures, and write the scorer."""
        assert self.best is not None
        self._load_trained(torch.load(self.out / "best.pt", map_location="cpu", weights_only=True))
        with torch.no_grad():
            for weight in self._trained().values():
                weight.copy_(weight.bfloat16())
        dev = self._judge_dev()
        calibration = dev.calibration()
        shipped = calibration["dev"]
        folder = self.out / "scorer"
        seconds = self.elapsed_s
        if self.accelerator.is_main_process:
            write_rows(self.out / "dev_scores.jsonl", map(asdict, dev.problems))
            trained_model.write_weights(self.model, self.tokenizer, folder, base_name)
            card = {
                "format": 1,
                "base": {"name": base_name, "weights_sha256": trained_model.weights_hashes(self.base)},
                "mode": self.settings.mode,
                "answers": {"pointwise": prompts.POINTWISE.answers, "pairwise": prompts.PAIRWISE.answers},
                **calibration,
                "prompts_hash": scorer_card.prompts_hash(self.settings.mode),
                "data": self.data,
                "counts": self.counts,
                "settings": asdict(self.settings),
                "num_steps": self.step,
                "best_step": self.best["step"],
                "attention": self.attention,
                "num_processes": self.accelerator.num_processes,
                "device": _device_name(self.accelerator.device),
                "versions": _versions(),
                "seconds": round(seconds, 1),
            }
            # Last and whole: a scorer without its card is not a scorer.
            part = folder / f"{scorer_card.CARD}.part"
            part.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
            part.replace(folder / scorer_card.CARD)
        self.accelerator.wait_for_everyone()
        self.report(f"{folder}: weights of step {self.best['step']}, dev {curves.figures_line(shipped)}")
        return TrainResult(folder, self.step, seconds, shipped)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "peft", "accelerate")}
