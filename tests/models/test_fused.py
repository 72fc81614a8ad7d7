"""Fused kernels: what liger-kernel patches beyond one model is taken back. A module stands in for the package."""

import sys
from types import ModuleType

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.models.qwen2 import modeling_qwen2

from rerank.models import fused


class FusedNorm(torch.nn.Module):
    """In the place of transformers' own, in the modules of models to come."""


def rotate(*_, **__):
    raise AssertionError("a kernel of the GPU")


def patch(model, **_):
    """As liger-kernel does: the instance, a class of the module, and a function that all models of the module share."""
    model.model.norm.forward = lambda hidden: hidden * 0
    modeling_qwen2.Qwen2RMSNorm = FusedNorm
    modeling_qwen2.apply_rotary_pos_emb = rotate


@pytest.fixture
def liger(monkeypatch):
    package, module = ModuleType("liger_kernel"), ModuleType("liger_kernel.transformers")
    module._apply_liger_kernel_to_instance = patch
    monkeypatch.setitem(sys.modules, "liger_kernel", package)
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", module)
    for name in ("Qwen2RMSNorm", "apply_rotary_pos_emb"):
        monkeypatch.setattr(modeling_qwen2, name, getattr(modeling_qwen2, name))


@pytest.mark.usefixtures("liger")
@pytest.mark.parametrize("num_models", [1, 2])
def test_only_the_model_is_patched_and_a_cpu_keeps_its_own_rotation(tiny_model, num_models):
    norm, plain = modeling_qwen2.Qwen2RMSNorm, AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        expected = plain(ids).logits
    for _ in range(num_models):
        model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
        fused.fuse(model)
        assert modeling_qwen2.Qwen2RMSNorm is norm
        with torch.inference_mode():
            assert not model(ids).logits.any()
            assert torch.equal(plain(ids).logits, expected)
    on_gpu = type("OnGpu", (), {"is_cuda": True})()
    with pytest.raises(AssertionError, match="a kernel of the GPU"):
        modeling_qwen2.apply_rotary_pos_emb(on_gpu, None, None, None)


def test_without_the_package_a_model_is_left_alone(monkeypatch, tiny_model):
    monkeypatch.setitem(sys.modules, "liger_kernel", None)
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", None)
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    before = modeling_qwen2.apply_rotary_pos_emb
    fused.fuse(model)
    assert modeling_qwen2.apply_rotary_pos_emb is before
