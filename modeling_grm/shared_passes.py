"""GRPO's forward and backward passes with each prompt read once for all of its rollouts.

    trainer_class(model)(model=model, reward_funcs=[spct_reward], rollout_func=Rollouts(), ...)

A judge's prompt holds a conversation and all responses, and is longer than the judgement; G rollouts share it. The rows
of a batch become one sequence:

    prompt but its last token | its last token, rollout 1 | its last token, rollout 2 | ... | the next prompt | ...

Each part sees its own tokens and, if it is a rollout, its prompt's; positions count on from the prompt. So the
log-probabilities are TRL's own, up to rounding, for a fraction of the tokens. Knows nothing about rewards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from trl import GRPOTrainer

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
        own, before = last - first, end - start
        bias = torch.ones(own, before + own, dtype=torch.bool, device=query.device).tril(before) if before else None
        asked = query[:, :, first:last]
        found.append(
            functional.scaled_dot_product_attention(
                asked, keys, values, bias, is_causal=bias is None, scale=kwargs.get("scaling"), enable_gqa=True
            )
        )
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


class SharedPasses(GRPOTrainer):
    """TRL's trainer; the model's attention must be plain (`shares`)."""

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        for one in filter(None, (self.model, self.ref_model)):
            _base(one).set_attn_implementation(SHARED)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **others: Any,
    ) -> Any:
        if any(value is not None and value is not False for value in others.values()):  # images, a mixture of experts
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **others
            )
        step = batch_size or len(input_ids)
        found = [
            self._passed(model, input_ids[at : at + step], attention_mask[at : at + step].bool(), logits_to_keep)
            for at in range(0, len(input_ids), step)
        ]
        logps = torch.cat([one for one, _ in found])
        return logps, torch.cat([one for _, one in found]) if compute_entropy else None, None

    def _passed(self, model: Any, ids: torch.Tensor, mask: torch.Tensor, length: int) -> tuple[torch.Tensor, Any]:
        """Log-probabilities and entropies of the rollouts' tokens, [rows, length] each, 0 where there is none.

        A reference model has no entropies.
        """
        prompts, rollouts = (
            [row[kept].tolist() for row, kept in zip(some, kepts, strict=True)]
            for some, kepts in ((ids[:, :-length], mask[:, :-length]), (ids[:, -length:], mask[:, -length:]))
        )
        layout = laid_out(prompts, rollouts)
        layout.fill()

        def tensor(values: Any) -> torch.Tensor:
            return torch.tensor([values], device=ids.device)

        with self.accelerator.autocast():
            outputs = model(
                input_ids=tensor(layout.ids), position_ids=tensor(layout.positions), labels=tensor(layout.labels),
                parts=tensor(layout.parts)[0], fused_lm_head=True,
            )  # fmt: skip
        before = tensor(layout.places)[0] - 1  # what stands at t was foretold at t - 1
        wanted = mask[:, -length:]

        def by_row(found: Any) -> Any:
            return None if found is None else found.new_zeros(wanted.shape).masked_scatter(wanted, found[0, before])

        return by_row(outputs.log_probs), by_row(outputs.entropy)


def _base(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def shares(model: Any) -> bool:
    """Whether each token of the model sees all tokens before it, and nothing else enters its attention."""
    config = _base(model).config.get_text_config()
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    windowed = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    odd = getattr(config, "attn_logit_softcapping", None) or getattr(config, "attn_logit_softcap", None)
    return bool(getattr(_base(model), "_supports_sdpa", False)) and not (windowed or odd) and set(kinds) == {
        "full_attention"
    }  # fmt: skip


def trainer_class(model: Any) -> type[GRPOTrainer]:
    """The trainer with shared passes where the model can do them, else TRL's own."""
    return SharedPasses if shares(model) else GRPOTrainer
