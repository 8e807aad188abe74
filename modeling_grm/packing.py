"""Several examples as one sequence of a fixed length: no padding is computed, and no example sees another.

A fixed length matters on the CPU, where each new matrix shape costs a compilation. Attention runs segment by segment;
the head runs only where there is something to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, Trainer

from .masked_attention import causal_attention


def segment_attention(
    module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float = 1.0, **kwargs: Any
) -> Any:
    """Causal attention in each segment of `cu_seq_lens_q`: (1, heads, tokens, dim) in, (1, tokens, heads, dim) out."""
    borders = kwargs["cu_seq_lens_q"].tolist()
    parts = [
        causal_attention(query[:, :, a:b], key[:, :, a:b], value[:, :, a:b], scaling) for a, b in pairwise(borders)
    ]
    return torch.cat(parts, 2).transpose(1, 2), None


AttentionInterface.register("segments", segment_attention)
AttentionMaskInterface.register("segments", lambda *args, **kwargs: None)


def pack(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices grouped so that each group's lengths add up to at most `size`; first fit, in the order given."""
    groups: list[list[int]] = []
    room: list[int] = []
    for index, length in enumerate(lengths):
        at = next((i for i in range(max(0, len(room) - 40), len(room)) if room[i] >= length), None)
        if at is None:
            groups.append([])
            room.append(size)
            at = len(room) - 1
        groups[at].append(index)
        room[at] -= length
    return groups


def join(examples: Sequence[dict[str, list[Any]]], size: int, pad: int) -> dict[str, list[Any]]:
    """One packed row: ids, the next token of each place with its weight, positions in each segment, segment borders.

    An example's `asked` are (place, token, weight): what is learnt at that place instead of the next token.
    """
    ids: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    positions: list[int] = []
    borders = [0]
    filler = size - sum(len(e["input_ids"]) for e in examples)
    padding: dict[str, list[Any]] = {"input_ids": [pad] * filler, "weights": [0.0] * filler}
    for example in [*examples, padding]:
        tokens, start = example["input_ids"], len(ids)
        ids += tokens
        targets += [*tokens[1:], pad][: len(tokens)]
        weights += [*example["weights"][1:], 0.0][: len(tokens)]
        for place, token, weight in example.get("asked", ()):
            targets[start + place], weights[start + place] = token, weight
        positions += range(len(tokens))
        borders += [len(ids)] if tokens else []
    return {"input_ids": ids, "labels": targets, "weights": weights, "position_ids": positions, "borders": borders}


def collate(rows: Sequence[dict[str, list[Any]]]) -> dict[str, torch.Tensor]:
    """A batch of one packed row as tensors."""
    (row,) = rows
    tensors = {name: torch.tensor([row[name]]) for name in ("input_ids", "labels", "weights", "position_ids")}
    return tensors | {"cu_seq_lens_q": torch.tensor(row["borders"], dtype=torch.int32)}


class PackedTrainer(Trainer):
    """A Trainer for packed rows whose loss is computed where the weights are above 0 only."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Weighted mean cross-entropy; in bf16 where the arguments say so."""
        targets, weights = inputs.pop("labels")[0], inputs.pop("weights")[0]
        causal = model.get_base_model()
        learn = (weights > 0).nonzero()[:, 0]
        places = functional.pad(learn, (0, (-len(learn)) % 256))  # few distinct shapes
        # the parts are called one by one, past the model's own forward, so autocast is opened here
        with torch.autocast(targets.device.type, torch.bfloat16, enabled=self.args.bf16):
            hidden = causal.model(**inputs, use_cache=False).last_hidden_state[0]
            logits = causal.lm_head(hidden[places])[: len(learn)]
        losses = functional.cross_entropy(logits.float(), targets[learn], reduction="none")
        loss = (losses * weights[learn]).sum() / weights[learn].sum()
        return (loss, None) if return_outputs else loss
