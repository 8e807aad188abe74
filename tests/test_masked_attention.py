"""Attention as training asks for it: the values and gradients of PyTorch's own, on either way."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from modeling_grm.masked_attention import causal_attention


@pytest.mark.parametrize(("asked", "seen"), [(1, 1), (7, 7), (5, 12), (1, 9)])
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_it_is_torchs_own(asked: int, seen: int, scaling: float | None) -> None:
    torch.manual_seed(asked)
    query, key, value = (torch.randn(1, heads, length, 8) for heads, length in ((6, asked), (2, seen), (2, seen)))
    mask = torch.ones(asked, seen, dtype=torch.bool).tril(seen - asked)
    own = scaled_dot_product_attention(query, key, value, mask, scale=scaling, enable_gqa=True)
    assert torch.allclose(causal_attention(query, key, value, scaling), own, atol=1e-6)
    grads = []
    for attend in (
        causal_attention,
        lambda q, k, v, s: scaled_dot_product_attention(q, k, v, mask, scale=s, enable_gqa=True),
    ):
        inputs = [one.clone().requires_grad_() for one in (query, key, value)]
        found = attend(*inputs, scaling)
        assert torch.allclose(found, own, atol=1e-6)
        grads.append(torch.autograd.grad((found * torch.arange(8)).sum(), inputs))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*grads, strict=True))
