"""The candidates stage: the problems of a run, and candidates drawn or read from a file."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from rerank import generators
from rerank.backends.engines import open_engine
from rerank.backends.interface import EngineOptions
from rerank.candidates import files as candidate_files
from rerank.candidates.files import from_row, to_row
from rerank.errors import InputError, ResumeError
from rerank.host import num_usable_cores
from rerank.problems import benchmarks as problem_files
from rerank.records import Candidate, Problem
from rerank.runs import judging
from rerank.runs.folder import RunFolder
from rerank.runs.settings import GenerateSettings
from rerank.store import content_hash, file_hash


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All problems of a benchmark, and those of them that a run is over."""

    problems: list[Problem]
    chosen: list[Problem]


def open_problems(folder: RunFolder, name: str, *, limit: int | None = None) -> Benchmark:
    """Load the problems and settle them; `limit` may grow from one call to the next."""
    problems = problem_files.load_problems(name)
    decided = {"name": name, "sha256": problems_hash(problems)}
    folder.record_settings("problems", fixed=decided, changeable={"limit": limit or len(problems)})
    return Benchmark(problems, problems[:limit])


def problems_hash(problems: Sequence[Problem]) -> str:
    """The content hash of a whole benchmark, as run.toml records it."""
    return content_hash(*map(asdict, problems))


def generate(
    folder: RunFolder, problems: Sequence[Problem], settings: GenerateSettings, options: EngineOptions
) -> list[Candidate]:
    """Sample what is still missing, from a model.

    Raises ResumeError for a folder whose samples were drawn under a budget: the rest would have had other seeds.
    """
    spent = folder.document().get("candidates", {}).get("max_total")
    if spent is not None:
        raise ResumeError(f"{folder.path}: drawn with --budget {spent}samples; give it again, or take another --out")
    folder.record_settings(
        "candidates",
        fixed={
            "generator": settings.generator,
            "num_samples": settings.num_samples,
            **asdict(settings.sampling),
        },
        changeable={"backend": settings.backend},
    )
    with folder.journal("candidates") as journal:
        wanted = [(problem.task_id, index) for problem in problems for index in range(settings.num_samples)]
        todo = {task_id for task_id, index in wanted if (task_id, index) not in journal}
        if todo:
            with closing(open_engine(settings.backend, settings.generator, options)) as engine:
                folder.record_settings("sampler", changeable=dict(engine.settings))
                batches = generators.generate(
                    [problem.public for problem in problems if problem.task_id in todo],
                    engine,
                    journal,
                    num_samples=settings.num_samples,
                    sampling=settings.sampling,
                    generator=settings.generator,
                )
                for _ in tqdm(batches, "generate", len(problems), initial=len(problems) - len(todo), **judging.BAR):
                    pass
        return [from_row(journal[place]) for place in wanted]


def import_candidates(folder: RunFolder, path: str | Path, benchmark: Benchmark) -> list[Candidate]:
    """Read recorded samples of any shape into the folder, those of the chosen problems."""
    folder.record_settings("candidates", fixed={"file": Path(path).name, "sha256": _file_hash(path)})
    wanted = {problem.task_id for problem in benchmark.chosen}
    with folder.journal("candidates") as journal:
        if wanted - {row["task_id"] for row in journal.rows.values()}:
            read = candidate_files.read_candidates(
                path, benchmark.problems, allow_missing=True, processes=num_usable_cores()
            )
            journal.append(to_row(candidate) for candidate in read if candidate.task_id in wanted)
        candidates = [from_row(row) for row in journal.rows.values() if row["task_id"] in wanted]
    missing = sorted(wanted - {candidate.task_id for candidate in candidates})
    if missing:
        raise candidate_files.missing_error(missing, path)
    return candidates


def _file_hash(path: str | Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise InputError((error.strerror or str(error)).lower(), path=path) from error
