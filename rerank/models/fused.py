"""Norms, rotations and gates in one kernel each, by liger-kernel where it is installed.

transformers computes them step by step: of the device's time for a pass through 0.5B weights a third went there.
"""

import logging
import sys
from typing import Any

_PLAIN_ROTATIONS: dict[str, Any] = {}  # transformers' own, by module


def fuse(model: Any) -> None:
    """Patch a model on a GPU, to be run or trained; one whose architecture liger-kernel does not know is left alone.

    It also patches transformers for models to come, which may run on a CPU: that is taken back.
    """
    logging.getLogger("liger_kernel").setLevel(logging.ERROR)  # it warns of accelerators that are not here
    try:
        from liger_kernel.transformers import _apply_liger_kernel_to_instance
    except ImportError:
        return
    module = vars(sys.modules[type(model).__module__])
    before = dict(module)
    _apply_liger_kernel_to_instance(model, cross_entropy=False, fused_linear_cross_entropy=False)
    fused: Any = module.get("apply_rotary_pos_emb")
    module.update(before)
    if fused is before.get("apply_rotary_pos_emb"):
        return
    # A function of the module, not of the model: it must serve models on either device.
    plain = _PLAIN_ROTATIONS.setdefault(type(model).__module__, before["apply_rotary_pos_emb"])
    module["apply_rotary_pos_emb"] = lambda query, *rest, **options: (fused if query.is_cuda else plain)(
        query, *rest, **options
    )
