"""The errors of rerank, as a tree. A command catches `UserError` only: a bug keeps its traceback.

RerankError
├── UserError            the caller can mend it: one sentence naming the value and the remedy, exit code 2
│   ├── InputError       a file, a line of it, or a record in it cannot be used
│   │   └── NoTrainingRowsError  a training split of which no row can be trained on
│   ├── SettingError     an option's value cannot be used, alone or with another
│   ├── ResumeError      the run folder holds a run with other settings
│   ├── MissingError     a package, weights or a service is not there
│   └── ModelError       the model, its chat template or its tokenizer does not fit the job
└── WorkerError          our own worker died or answered nonsense; catch it to retry
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RerankError(Exception):
    """Catch it for anything that rerank raises on purpose."""


class UserError(RerankError):
    """Catch it where a message is shown to a person: `str(error)` is one line, without a traceback."""


class InputError(UserError):
    """A file or a record in it cannot be used.

    >>> str(InputError("not JSON: expecting value", path="samples.jsonl", line=3))
    'samples.jsonl, line 3: not JSON: expecting value'
    """

    def __init__(self, message: str, *, path: str | Path | None = None, line: int | None = None):
        where = "" if path is None else f"{path}: " if line is None else f"{path}, line {line}: "
        super().__init__(where + message)


class NoTrainingRowsError(InputError):
    """No row of the training split is left; catch it where other data of the same run may still be trained on."""


class SettingError(UserError):
    """An option's value cannot be used; the message names the option as it is spelt on the command line."""


class ResumeError(UserError):
    """The run folder was made with another setting that matters; the message names it with both values."""


class MissingError(UserError):
    """A package, weights or a service is not there; the message says how to get it."""


class ModelError(UserError):
    """The model cannot do the job, such as an answer that is not one token; the message says which model and why."""


class WorkerError(RerankError):
    """A process of ours died or broke its protocol. Never the candidate's failure."""


@contextmanager
def one_line(*others: type[Exception]) -> Iterator[None]:
    """Around a script: what its caller can mend, and `others`, is one line on stderr and exit code 2."""
    caught: tuple[type[Exception], ...] = (UserError, *others)
    try:
        yield
    except caught as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
