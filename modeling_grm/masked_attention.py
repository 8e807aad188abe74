"""Attention of a few tokens among all of them, as training asks for it: the way back counts as much as the way there.

Knows tensors. Knows nothing about packing or shared prompts, which say what sees what.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

MOST = 2**20
"""Pairs of tokens: with 1,024 of 1,024 both ways take as long, and fused attention keeps less."""


def causal_attention(query: Any, key: Any, value: Any, scaling: float | None = None) -> Any:
    """The last of the keys' tokens ask: each sees itself and all before it.

    query: (1, heads, asked, dim); key, value: (1, groups, asked and more, dim), a group for equally many heads. Returns
    the shape of `query`. Where something is learnt on a CPU it is two matrix products, as long as what they keep for
    the way back is small: PyTorch's fused attention is slow on that way there.
    """
    asked, seen = query.shape[2], key.shape[2]
    if query.device.type == "cpu" and query.requires_grad and asked * seen <= MOST:
        return _by_products(query, key, value, query.shape[-1] ** -0.5 if scaling is None else scaling)
    mask = None if asked == seen else query.new_ones(asked, seen, dtype=torch.bool).tril(seen - asked)
    return scaled_dot_product_attention(query, key, value, mask, is_causal=mask is None, scale=scaling, enable_gqa=True)


def _by_products(query: Any, key: Any, value: Any, scaling: float) -> Any:
    """The heads of a group ask the same keys, so their queries stand below one another in one product."""
    (one, heads, asked, width), (_, groups, seen, _) = query.shape, key.shape
    hidden = query.new_full((asked, seen), -torch.inf).triu(seen - asked + 1)
    scores = query.reshape(one, groups, -1, width) @ key.transpose(-1, -2)
    weights = (scores.view(one, groups, -1, asked, seen) * scaling + hidden).softmax(-1)
    return (weights.view(one, groups, -1, seen) @ value).view(one, heads, asked, width)
