"""Rows of a run folder, back to records."""

from collections.abc import Sequence

from rerank.candidates.files import from_row
from rerank.evidence import likelihoods
from rerank.records import Candidate, Comparison, Problem, Ranking
from rerank.runs.folder import RunFolder
from rerank.store import read_rows


def load_candidates(folder: RunFolder, problems: Sequence[Problem]) -> list[Candidate]:
    """The candidates that an earlier stage left in the folder."""
    folder.settings("candidates")
    task_ids = {problem.task_id for problem in problems}
    with folder.journal("candidates") as journal:
        return [from_row(row) for row in journal.rows.values() if row["task_id"] in task_ids]


def num_ranked(folder: RunFolder) -> int:
    """How many problems the folder's rankings are about; 0 where there are none."""
    path = folder.path / "rankings.jsonl"
    return len({row["task_id"] for _, row in read_rows(path)}) if path.exists() else 0


def load_rankings(folder: RunFolder, task_ids: set[str]) -> dict[str, list[Ranking]]:
    """Every selector's rankings of these problems. Raises InputError where the folder has none."""
    rankings: dict[str, list[Ranking]] = {}
    for _, row in read_rows(folder.path / "rankings.jsonl"):
        ranking = Ranking(**{**row, "order": tuple(row["order"]), "values": tuple(row["values"])})
        if ranking.task_id in task_ids:
            rankings.setdefault(ranking.selector, []).append(ranking)
    return rankings


def load_scores(folder: RunFolder) -> dict[str, dict[str, float | None]]:
    """Pointwise log-odds by task_id and key."""
    scores: dict[str, dict[str, float | None]] = {}
    with folder.journal("scores") as journal:
        for row in journal.rows.values():
            scores.setdefault(row["task_id"], {})[row["key"]] = row["log_odds"]
    return scores


def load_likelihoods(folder: RunFolder) -> dict[str, dict[str, likelihoods.Read]]:
    """What a reviewer has read so far, by task_id and key; empty where none was asked."""
    if not (folder.path / "likelihoods.jsonl").exists():
        return {}
    with folder.journal("likelihoods") as journal:
        return likelihoods.from_rows(journal.rows.values())


def load_comparisons(folder: RunFolder) -> dict[str, list[Comparison]]:
    """What the folder's journal holds, by task_id; empty where nothing was compared."""
    comparisons: dict[str, list[Comparison]] = {}
    if not (folder.path / "comparisons.jsonl").exists():
        return comparisons
    with folder.journal("comparisons") as journal:
        for row in journal.rows.values():
            comparisons.setdefault(row["task_id"], []).append(Comparison(**row))
    return comparisons
