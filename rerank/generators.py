"""Problems to candidates: what to ask a generator, and the journal that keeps what it has drawn.

    engine = open_engine("auto", "qwen2.5-coder-0.5b-instruct", EngineOptions(purpose="generate"))
    with folder.journal("candidates") as journal:
        for batch in generate(problems, engine, journal, num_samples=10, sampling=Sampling(), generator="..."):
            print(len(batch))

A problem's candidates are written together, so a killed run repeats at most the problems that were under way.
"""

from collections.abc import Callable, Iterator, Sequence

from rerank.backends.interface import GenerationRequest, LikelihoodSource, Sample, SampleSource, Sampling
from rerank.candidates.extraction import STOP_WORDS, extract
from rerank.candidates.files import to_row
from rerank.candidates.programs import program_key
from rerank.records import Candidate, PublicProblem
from rerank.store import Journal


def chat_request(problem: PublicProblem) -> GenerationRequest:
    """Ask an instruction-tuned model for the whole function in one fenced block."""
    if problem.prompt_kind == "function":
        text = (
            "Complete the following Python function. Answer with the whole function, its imports included, in one "
            f"Python code block.\n\n```python\n{problem.prompt.strip()}\n```\n"
        )
    else:
        text = (
            "Write a Python program that solves the following task. The function that answers it must be called "
            f"`{problem.entry_point}`. Answer with the whole program in one Python code block.\n\n"
            f"{problem.prompt.strip()}\n"
        )
    return GenerationRequest(problem.task_id, text, is_chat=True)


def base_request(problem: PublicProblem) -> GenerationRequest:
    """Have a base model continue the code, up to where the next thing begins."""
    if problem.prompt_kind == "function":
        return GenerationRequest(problem.task_id, problem.prompt, is_chat=False, stop=STOP_WORDS)
    # Words to be answered with a program: they become the docstring above it.
    text = f'"""\n{problem.prompt.strip()}\n"""\n\ndef {problem.entry_point}('
    return GenerationRequest(problem.task_id, text, is_chat=False, stop=STOP_WORDS)


STYLES: dict[str, Callable[[PublicProblem], GenerationRequest]] = {"chat": chat_request, "base": base_request}


def style_of(source: SampleSource | LikelihoodSource) -> str:
    """The prompt style that fits a model: `chat` where its tokenizer has a chat template."""
    return "chat" if source.has_chat_template else "base"


def generate(
    problems: Sequence[PublicProblem],
    source: SampleSource,
    journal: Journal,
    *,
    num_samples: int,
    sampling: Sampling,
    generator: str,
    style: str | None = None,
    first_index: int = 0,
) -> Iterator[list[Candidate]]:
    """Draw what the journal lacks, write it there, and yield each problem's candidates as they come.

    A problem is asked again, whole, unless all its samples are there; samples that are there already stay.
    `first_index`: the samples are the next ones after so many, which were drawn with another seed.
    """
    request_of = STYLES[style or style_of(source)]
    todo = {
        problem.task_id: problem
        for problem in problems
        if any((problem.task_id, first_index + step) not in journal for step in range(num_samples))
    }
    for request, samples in source.generate(map(request_of, todo.values()), num_samples, sampling):
        problem = todo[request.id]
        batch = [
            _candidate(problem, index, _raw(problem, request, sample), sample, generator)
            for index, sample in enumerate(samples, first_index)
        ]
        journal.append(map(to_row, batch))
        yield batch


def _raw(problem: PublicProblem, request: GenerationRequest, sample: Sample) -> str:
    """What to read the program from: one that we began for the model (see `base_request`) needs its beginning."""
    began = not request.is_chat and problem.prompt_kind == "text"
    return request.text + sample.text if began else sample.text


def _candidate(problem: PublicProblem, index: int, raw: str, sample: Sample, generator: str) -> Candidate:
    extraction = extract(problem, raw)
    return Candidate(
        task_id=problem.task_id,
        index=index,
        raw=raw,
        program=extraction.program,
        key=program_key(extraction.program),
        cuts=extraction.cuts,
        mean_log_probability=sample.mean_log_probability,
        num_tokens=sample.num_tokens,
        generator=generator,
    )
