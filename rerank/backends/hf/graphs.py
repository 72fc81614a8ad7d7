"""Passes of one shape as CUDA graphs: launched as one, where Python takes longer to launch them than the device to run.

    run = GraphedPasses(model)
    hidden = run(packed)          # (tokens, hidden), to be read before the next call

On an H200 a pass of 16,384 tokens through 0.5B weights takes the device 25 ms, and its host some 35 ms to launch kernel
by kernel. A shape is captured when it comes again and again, so short jobs don't pay for it. The kernels are the same,
and so are the numbers. Only FlexAttention's packs have few shapes; any other pass runs as it is.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from rerank.backends.batching import free_memory
from rerank.backends.hf import block_mask
from rerank.backends.hf.block_mask import Kept, Mask, Memory, Pack

_log = logging.getLogger(__name__)

_USUAL = 3  # times that a shape came before it is captured: a capture takes about as long as ten passes save
_Layers = list[tuple[torch.Tensor, torch.Tensor]]
_Shape = tuple[int, ...]


class GraphedPasses:
    """Runs packs through one model, whose weights stay where they are."""

    def __init__(self, model: Any):
        self._model = model
        self._seen: Counter[_Shape] = Counter()
        self._graphs: dict[_Shape, _Graph] = {}
        self._is_off = False

    def __call__(self, packed: Pack) -> torch.Tensor:
        shape = _shape(packed)
        if shape not in self._graphs:
            self._seen[shape] += 1
            is_usual = packed.attention == "flex" and packed.input_ids.is_cuda and self._seen[shape] > _USUAL
            if not is_usual or self._is_off or not self._capture(shape, packed):
                return block_mask.hidden_states(self._model, packed)
        return self._graphs[shape](packed)

    def clear(self) -> None:
        self._graphs.clear()
        self._seen.clear()

    def _capture(self, shape: _Shape, packed: Pack) -> bool:
        try:
            self._graphs[shape] = _Graph(self._model, packed)
        except RuntimeError as error:  # too little memory for a second set of buffers, or a model that asks the device
            _log.info("passes are launched kernel by kernel: %s", str(error).partition("\n")[0])
            self._is_off = True
            self.clear()
            free_memory()
        return not self._is_off


class _Graph:
    """A captured pass with tensors of its own, which each pack is copied into."""

    def __init__(self, model: Any, packed: Pack):
        paths = packed.mask.paths
        self._pack = replace(
            packed,
            input_ids=packed.input_ids.clone(),
            position_ids=packed.position_ids.clone(),
            mask=Mask(packed.mask.until.clone(), packed.mask.own, paths and (paths[0].clone(), paths[1].clone())),
            kept=packed.kept and Kept(packed.mask.until, (), (), ()),
            memory=packed.memory and _Room.like(packed.memory, packed.num_tokens),
            _masks={},
        )
        self._graph = torch.cuda.CUDAGraph()
        device = packed.input_ids.device  # maybe not the one that PyTorch takes by itself
        stream = torch.cuda.Stream(device)
        # Other threads may use the device meanwhile.
        with torch.cuda.device(device), torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            self._hidden = block_mask.hidden_states(model, self._pack)

    def __call__(self, packed: Pack) -> torch.Tensor:
        for own, given in zip(self._pack.inputs, packed.inputs, strict=True):
            own.copy_(given)
        if isinstance(self._pack.memory, _Room) and packed.memory is not None:
            self._pack.memory.take(packed.memory)
        self._graph.replay()
        if self._pack.kept is not None and packed.kept is not None:
            packed.kept.layers = [(key.clone(), value.clone()) for key, value in self._pack.kept.layers]
        return self._hidden


@dataclass(frozen=True, slots=True)
class _Room(Memory):
    """A memory with room behind it for the keys and values of what is asked."""

    layers: _Layers  # (1, key heads, num_tokens + new tokens, size) each

    @classmethod
    def like(cls, memory: Memory, num_new: int) -> "_Room":
        # Zeros, since nothing times not-a-number is not nothing: some of it may never be written.
        layers = [
            tuple(own.new_zeros((*own.shape[:2], memory.num_tokens + num_new, own.shape[3])) for own in layer)
            for layer in memory.parts[0].layers
        ]
        return cls((), memory.num_tokens, layers)  # type: ignore[arg-type]

    def take(self, memory: Memory) -> None:
        for layer, room in enumerate(self.layers):
            done = 0
            for part in memory.parts:
                stop = done + len(part.until)
                for own, given in zip(room, part.layers[layer], strict=True):
                    own[:, :, done:stop].copy_(given)
                done = stop

    def before(self, layer: int, new: tuple[torch.Tensor, torch.Tensor]) -> Iterator[torch.Tensor]:
        for room, own in zip(self.layers[layer], new, strict=True):
            room[:, :, self.num_tokens :].copy_(own)
            yield room


def _shape(packed: Pack) -> _Shape:
    memory = packed.memory.num_tokens if packed.memory is not None else 0
    return packed.num_tokens, memory, packed.kept is not None, packed.mask.paths is not None
