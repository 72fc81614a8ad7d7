"""Several scorers to one: the mean of their weights, which costs no more to run than one of them.

    average(["runs/seed0/scorer", "runs/seed1/scorer"], "runs/mean", rank=14)
    calibrate("runs/mean", ["dev.jsonl.gz"], base="qwen2.5-coder-0.5b-instruct")

Models fine-tuned from one base with other seeds often lie in one basin, where the mean of the weights judges about as
well as the mean of the verdicts ("model soups", Wortsman et al. 2022, arXiv 2203.05482). The mean of k adapters of rank
r has rank k r; it is cut to `rank` by its singular values, which is the nearest matrix of that rank.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rerank.autoraters import AUTORATERS
from rerank.autoraters.pointwise import Pointwise
from rerank.backends.engines import open_engine
from rerank.backends.interface import EngineOptions
from rerank.errors import InputError
from rerank.models import scorer_card
from rerank.store import file_hash, write_rows
from rerank.training.labels.rows import Label, by_problem, read_labels
from rerank.training.scorer.evaluate import DevScores, ScoredPair, ScoredProblem, log_probability_gain, pair_mode

MAX_PAIRS = 40  # of a problem, each asked in both orders

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def average(adapters: Sequence[str | Path], out: str | Path, *, rank: int) -> float:
    """Write the mean of LoRA adapters; return the share of its squared norm that the cut to `rank` lost, 0 to 1.

    Raises InputError where the adapters are not of one form, or all of them change nothing.
    """
    import torch
    from safetensors.torch import load_file, save_file

    folders = [Path(adapter) for adapter in adapters]
    cards, configs = ([_read(folder / name) for folder in folders] for name in (scorer_card.CARD, CONFIG))
    loaded = [load_file(folder / WEIGHTS) for folder in folders]
    bases = [config["base_model_name_or_path"] for config in configs]
    for folder, weights, base in zip(folders, loaded, bases, strict=True):
        if weights.keys() != loaded[0].keys() or base != bases[0]:
            raise InputError(f"has other layers or another base than {folders[0]}", path=folder)
    scales = [config["lora_alpha"] / config["r"] / len(folders) for config in configs]
    made: dict[str, Any] = {}
    kept = total = 0.0
    for name in loaded[0]:
        if ".lora_A." not in name:
            continue
        other = name.replace(".lora_A.", ".lora_B.")
        down = torch.cat([weights[name].float() for weights in loaded])  # (sum of ranks, inputs)
        up = torch.cat([scale * weights[other].float() for scale, weights in zip(scales, loaded, strict=True)], dim=1)
        # The singular values of up @ down without forming it: those of a small matrix between two bases.
        up_base, up_rest = torch.linalg.qr(up)
        down_base, down_rest = torch.linalg.qr(down.T)
        left, values, right = torch.linalg.svd(up_rest @ down_rest.T)
        total += float((values**2).sum())
        kept += float((values[:rank] ** 2).sum())
        root = values[:rank].sqrt()
        made[other] = (up_base @ left[:, :rank] * root).bfloat16().contiguous()
        made[name] = ((root[:, None] * right[:rank]) @ down_base.T).bfloat16().contiguous()
    if not total:
        raise InputError("changes nothing: no training went well enough to be kept", path=folders[0])
    Path(out).mkdir(parents=True, exist_ok=True)
    save_file(made, Path(out) / WEIGHTS, metadata={"format": "pt"})
    config = configs[0] | {"r": rank, "lora_alpha": rank}
    (Path(out) / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    merged = {key: cards[0][key] for key in ("format", "base", "mode", "answers", "prompts_hash")}
    told = ("data", "counts", "settings", "best_step", "dev", "device", "versions", "seconds")
    merged["mean_of"] = [
        {"weights_sha256": file_hash(folder / WEIGHTS)} | {key: card[key] for key in told}
        for folder, card in zip(folders, cards, strict=True)
    ]
    (Path(out) / scorer_card.CARD).write_text(
        json.dumps({**merged, "temperature": {}}, indent=2) + "\n", encoding="utf-8"
    )
    return 1 - kept / total


def calibrate(
    scorer: str | Path, labels: Sequence[str | Path], *, base: str, options: EngineOptions | None = None
) -> DevScores:
    """Judge the dev problems of `labels` in the ways that the scorer knows; write what follows from that into its card.

    Beside the card stays dev_scores.jsonl, as a training run leaves it.
    """
    path = Path(scorer) / scorer_card.CARD
    card = _read(path)
    engine = open_engine("transformers", f"{base}+{scorer}", options)
    mode = pair_mode(card["mode"])
    one, two = Pointwise(engine), AUTORATERS[mode](engine)
    problems, pairs = [], []
    for task_id, rows in tqdm(by_problem(read_labels(labels)).items(), "judge dev", unit="problem", disable=None):
        if rows[0].split != "dev":
            continue
        problem, programs = rows[0].problem, {str(place): row.program for place, row in enumerate(rows)}
        chosen = [] if card["mode"] == "pointwise" else _right_and_wrong(rows)
        [played] = two.play_many([(problem, programs, lambda _, chosen=chosen: chosen)])
        points = [score.log_odds or 0.0 for score in played.scores or one.score(problem, programs)]
        verdicts = [each.log_odds or 0.0 for each in played.comparisons]
        problems.append(
            ScoredProblem(
                task_id,
                right=tuple(row.right for row in rows),
                log_odds=tuple(points),
                mean_log_probability=tuple(row.mean_log_probability for row in rows),
                is_sample=tuple(row.origin == "sample" for row in rows),
                generator=tuple(row.generator for row in rows),
            )
        )
        pairs += [
            ScoredPair(task_id, forward, -backward, log_probability_gain(rows[int(a)], rows[int(b)]))
            for (a, b), forward, backward in zip(chosen, verdicts[::2], verdicts[1::2], strict=True)
        ]
    engine.close()
    scores = DevScores(tuple(problems), tuple(pairs), {}, mode)
    card |= scores.calibration()
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    write_rows(Path(scorer) / "dev_scores.jsonl", map(asdict, problems))
    return scores


def _right_and_wrong(rows: Sequence[Label]) -> list[tuple[str, str]]:
    """Pairs of a right and a wrong sample, by place: some, if there are many."""
    places = [index for index, row in enumerate(rows) if row.origin == "sample"]
    pairs = [(str(a), str(b)) for a in places for b in places if rows[a].right and not rows[b].right]
    return random.Random(rows[0].task_id).sample(pairs, min(len(pairs), MAX_PAIRS))


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("not there, or not JSON: name the folder of a scorer", path=path) from error
    return document
