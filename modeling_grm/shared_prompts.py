"""Rows of one prompt as one sequence in which the prompt is read once.

    laid_out([prompt, prompt, another], [row, row, row]) -> Layout

A judge's prompt holds a conversation and all responses, and is longer than a judgement; several judgements share it.
The rows of a batch become

    prompt but its last token | its last token, row 1 | its last token, row 2 | ... | the next prompt | ...

Each part sees its own tokens and, if it is a row, its prompt's; positions count on from the prompt. So hidden states
are those of the rows one by one, up to rounding, for a fraction of the tokens. Knows nothing about their use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from .masked_attention import causal_attention

SHARED = "shared_prompts"
STEP = 256
"""A sequence's length is a multiple of it: on the CPU each new matrix shape costs a compilation."""


def shared_attention(
    module: Any, query: Any, key: Any, value: Any, mask: Any, parts: torch.Tensor | None = None, **kwargs: Any
) -> Any:
    """Causal attention in each of `parts` (start and end of its prompt, its own start and end), and to its prompt.

    (1, heads, tokens, dim) in, (1, tokens, heads, dim) out; without `parts` it is transformers' own.
    """
    if parts is None:
        return sdpa_attention_forward(module, query, key, value, mask, **kwargs)
    found = []
    for start, end, first, last in parts.tolist():
        keys, values = (torch.cat([kept[:, :, start:end], kept[:, :, first:last]], 2) for kept in (key, value))
        found.append(causal_attention(query[:, :, first:last], keys, values, kwargs.get("scaling")))
    return torch.cat(found, 2).transpose(1, 2).contiguous(), None


AttentionInterface.register(SHARED, shared_attention)
AttentionMaskInterface.register(SHARED, sdpa_mask)


@dataclass
class Layout:
    """Rows as one sequence.

    Attributes:
        ids, positions, labels: one a token; a label is -100 where nothing is learnt.
        parts: (start and end of its prompt, own start and end) a part, in order, without gaps.
        places: where the tokens of all rollouts stand, row by row.
    """

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    parts: list[tuple[int, int, int, int]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def add(self, tokens: Sequence[int], position: int, learnt: int, prompt: tuple[int, int] = (0, 0)) -> None:
        """A part, of whose tokens the last `learnt` are learnt."""
        first, known = len(self.ids), len(tokens) - learnt
        self.ids += tokens
        self.positions += range(position, position + len(tokens))
        self.labels += [-100] * known + list(tokens[known:])
        self.parts.append((*prompt, first, len(self.ids)))
        self.places += range(first + known, len(self.ids))

    def fill(self) -> None:
        """Up to a length that is a multiple of `STEP`, with a part of its own."""
        if missing := -len(self.ids) % STEP:
            self.add(self.ids[:1] * missing, 0, 0)


def laid_out(prompts: Sequence[Sequence[int]], rollouts: Sequence[Sequence[int]]) -> Layout:
    """Each prompt, then its rollouts; a prompt that stands in several rows in turn is there once."""
    found = Layout()
    shared: tuple[int, int] = (0, 0)
    for at, (prompt, rollout) in enumerate(zip(prompts, rollouts, strict=True)):
        *known, last = prompt
        if at == 0 or prompt != prompts[at - 1]:
            shared = (len(found.ids), len(found.ids) + len(known))
            if known:
                found.add(known, 0, 0)
        found.add([last, *rollout], len(known), len(rollout), shared)
    return found


def plain_model(model: Any) -> Any:
    """Without its adapter's wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def shares(model: Any) -> bool:
    """Whether each token of the model sees all tokens before it, and nothing else enters its attention."""
    config = plain_model(model).config.get_text_config()
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    windowed = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    odd = getattr(config, "attn_logit_softcapping", None) or getattr(config, "attn_logit_softcap", None)
    return bool(getattr(plain_model(model), "_supports_sdpa", False)) and not (windowed or odd) and set(kinds) == {
        "full_attention"
    }  # fmt: skip
