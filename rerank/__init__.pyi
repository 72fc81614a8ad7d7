from .aggregation import AGGREGATES as AGGREGATES
from .backends import EngineOptions as EngineOptions
from .backends import Sampling as Sampling
from .backends import open_engine as open_engine
from .candidates import (
    read_candidates as read_candidates,
)
from .candidates import (
    summarize as summarize,
)
from .candidates import (
    write_completions as write_completions,
)
from .candidates import (
    write_solutions as write_solutions,
)
from .errors import (
    InputError as InputError,
)
from .errors import (
    MissingError as MissingError,
)
from .errors import (
    ModelError as ModelError,
)
from .errors import (
    RerankError as RerankError,
)
from .errors import (
    ResumeError as ResumeError,
)
from .errors import (
    SettingError as SettingError,
)
from .errors import (
    UserError as UserError,
)
from .evaluation import evaluate_samples as evaluate_samples
from .execution import execute as execute
from .metrics import mcnemar_p as mcnemar_p
from .metrics import pass_at_k as pass_at_k
from .metrics import uplift as uplift
from .picking import Ranker as Ranker
from .problems import load_problems as load_problems
from .programs import extract as extract
from .records import (
    Candidate as Candidate,
)
from .records import (
    Comparison as Comparison,
)
from .records import (
    Problem as Problem,
)
from .records import (
    PublicProblem as PublicProblem,
)
from .records import (
    Ranking as Ranking,
)
from .records import (
    Score as Score,
)
from .settings import ScoreSettings as ScoreSettings
from .tournaments import TOURNAMENTS as TOURNAMENTS
