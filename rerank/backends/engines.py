"""What an engine gives the rest of rerank, and the engines by name. Importing this loads no engine.

An engine is one model behind two calls: `answer_log_odds` judges, `generate` samples. `open_engine` loads it:

    engine = open_engine("transformers", "qwen2.5-coder-0.5b-instruct")
    [[answer]] = engine.answer_log_odds([[prompts.pointwise(problem, program)]])
    answer.log_odds   # 0.41
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache

from rerank.backends.interface import Engine, EngineOptions
from rerank.errors import MissingError, SettingError


def _transformers(model: str, options: EngineOptions) -> Engine:
    # Read when torch is first loaded. Threads that spin while they wait steal the cores that the others need: beside
    # other work on the same cores judging took several times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from rerank.backends.hf.engine import TransformersEngine
    from rerank.models import weights

    return TransformersEngine(weights.resolve(model, path=options.weights), options)


def _vllm(model: str, options: EngineOptions) -> Engine:
    if importlib.util.find_spec("vllm") is None:
        raise MissingError("--backend vllm: vllm is not installed; pip install 'rerank[vllm]', or take transformers")
    # Read when vllm is imported: it prints its settings by the page. Errors still show.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    from rerank.backends.vllm_engine import VllmEngine
    from rerank.models import weights

    return VllmEngine(weights.resolve(model, path=options.weights), options)


def _openai(model: str, options: EngineOptions) -> Engine:
    from rerank.backends.openai_http import OpenAIEngine

    return OpenAIEngine(model, options)


def _ray(backend: str, model: str, options: EngineOptions) -> Engine:
    require_ray()
    from rerank.backends.ray_cluster import RayEngine

    return RayEngine(backend, model, options)


def require_ray() -> None:
    """Raise MissingError where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise MissingError("--cluster: ray is not installed; pip install 'rerank[cluster]'")


ENGINES: dict[str, Callable[[str, EngineOptions], Engine]] = {
    "transformers": _transformers,
    "vllm": _vllm,
    "openai": _openai,
}


def open_engine(backend: str, model: str, options: EngineOptions | None = None) -> Engine:
    """Load a model in the named engine; `auto` is vllm where it is installed beside a GPU, else transformers.

    Raises SettingError for an unknown name, MissingError for a missing package or weights, ModelError for a model
    that can't be loaded.
    """
    options = options or EngineOptions()
    if options.cluster:
        return _ray(backend, model, options)
    if backend == "auto":
        backend = "openai" if options.base_url else "vllm" if _has_vllm_and_gpu() else "transformers"
    if backend not in ENGINES:
        raise SettingError(f"--backend {backend}: unknown; one of auto, {', '.join(ENGINES)}")
    return ENGINES[backend](model, options)


@contextmanager
def lazy_engine(open_it: Callable[[], Engine]) -> Iterator[Callable[[], Engine]]:
    """Yield a function that opens an engine at its first call and returns the same one at every later call.

    The engine is closed at the end, if it was opened.

        with lazy_engine(lambda: open_engine("transformers", model)) as engine:
            if todo:
                engine().answer_log_odds(todo)
    """
    with ExitStack() as stack:
        yield cache(lambda: stack.enter_context(closing(open_it())))


def _has_vllm_and_gpu() -> bool:
    if importlib.util.find_spec("vllm") is None:
        return False
    import torch

    return torch.cuda.is_available()
