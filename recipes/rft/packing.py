"""Several examples as one sequence of a fixed length: no padding is computed, and no example sees another.

A fixed length matters on the CPU, where each new matrix shape costs a compilation. Attention runs segment by segment;
the head runs only where there is something to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface, Trainer

IGNORED = -100


def segment_attention(module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float = 1.0, **kwargs: Any) -> Any:
    """Causal attention inside each segment of `cu_seq_lens_q`, (1, heads, tokens, dim) in, (1, tokens, heads, dim) out."""
    borders = kwargs["cu_seq_lens_q"].tolist()
    parts = [
        F.scaled_dot_product_attention(
            query[:, :, a:b], key[:, :, a:b], value[:, :, a:b], is_causal=True, scale=scaling, enable_gqa=True
        )
        for a, b in zip(borders, borders[1:], strict=False)
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


def join(examples: Sequence[dict[str, list[int]]], size: int, pad: int) -> dict[str, list[int]]:
    """One packed row: token ids, labels (already shifted), positions from zero in each segment, segment borders."""
    ids: list[int] = []
    labels: list[int] = []
    positions: list[int] = []
    borders = [0]
    filler = size - sum(len(e["input_ids"]) for e in examples)
    for example in [*examples, {"input_ids": [pad] * filler, "completion_mask": [0] * filler}]:
        tokens, learn = example["input_ids"], example["completion_mask"]
        ids += tokens
        labels += [t if m else IGNORED for t, m in zip(tokens[1:], learn[1:], strict=True)] + [IGNORED] * bool(tokens)
        positions += range(len(tokens))
        borders += [len(ids)] if tokens else []
    return {"input_ids": ids, "labels": labels, "position_ids": positions, "borders": borders}


def collate(rows: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """A batch of one packed row as tensors."""
    (row,) = rows
    tensors = {name: torch.tensor([row[name]]) for name in ("input_ids", "labels", "position_ids")}
    return tensors | {"cu_seq_lens_q": torch.tensor(row["borders"], dtype=torch.int32)}


class PackedTrainer(Trainer):
    """A Trainer for packed rows whose loss is computed on the labelled positions only."""

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
        """Mean cross-entropy over the labelled tokens; in bf16 where the arguments say so."""
        labels = inputs.pop("labels")[0]
        causal = model.get_base_model()
        learn = (labels != IGNORED).nonzero()[:, 0]
        spare = (-len(learn)) % 512  # few distinct shapes
        places = F.pad(learn, (0, spare))
        targets = F.pad(labels[learn], (0, spare), value=IGNORED)
        # the parts are called one by one, past the model's own forward, so autocast is opened here
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=self.args.bf16):
            hidden = causal.model(**inputs, use_cache=False).last_hidden_state[0]
            logits = causal.lm_head(hidden[places])
        loss = F.cross_entropy(logits.float(), targets, ignore_index=IGNORED)
        return (loss, None) if return_outputs else loss
