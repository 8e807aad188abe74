"""Trains a meta RM's classifier: batches of judgements, and the cross-entropy on "this judgement is correct" (Eq 10).

    PaddedTrainer(model, config, train_dataset=padded_rows(train), data_collator=Collator(pad))
    SharedTrainer(model, config, train_dataset=shared_rows(train, 2048, pad), data_collator=collate_shared)

The second reads a prompt once for all judgements of it, so that four judgements of one prompt cost about as much as two
alone. Knows nothing about stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from random import Random
from typing import Any

import torch
from torch.nn import functional
from transformers import Trainer

from .meta_examples import Example
from .meta_rm_grm import alike, last_real, parts_of, together
from .packing import pack
from .shared_prompts import SHARED, laid_out, plain_model

MOST = 8
"""Judgements of one prompt in one row; those of further ones are another group, with the prompt once more."""


class PaddedTrainer(Trainer):
    """A Trainer whose loss is BCE with logits, correct judgements counted `weight` times."""

    weight = 1.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # the loss here is a mean, so that of the batches of an update is one: the Trainer takes a model whose forward
        # has **kwargs for one that divides by their number itself, and would add them up
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean over the batch."""
        labels = inputs.pop("labels")
        logits = self.logits(model, inputs).float()
        weight = torch.tensor(self.weight, device=logits.device)
        loss = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight)
        return (loss, {"logits": logits}) if return_outputs else loss

    def logits(self, model: Any, inputs: dict[str, torch.Tensor]) -> Any:
        """One a judgement, (rows, 1)."""
        return model(**inputs).logits


class Collator:
    """Right-padded batches with a float label a row, (rows, 1)."""

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """A batch."""
        width = max(len(row["input_ids"]) for row in rows)
        ids = torch.full((len(rows), width), self.pad)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for at, row in enumerate(rows):
            ids[at, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
            mask[at, : len(row["input_ids"])] = 1
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([[row["label"]] for row in rows])}


def padded_rows(part: Sequence[Example]) -> list[dict[str, Any]]:
    """One a judgement."""
    return [{"input_ids": example.ids, "label": float(example.correct)} for example in part]


class SharedTrainer(PaddedTrainer):
    """The same on rows of `shared_rows`; the model's attention must be plain (`shared_prompts.shares`).

    `pairwise` weighs the loss of `ranked`, which is added: a vote can use only what tells judgements of one item apart.
    """

    pairwise = 0.0

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        plain_model(model).set_attn_implementation(SHARED)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean over the row's judgements, and over its pairs of them."""
        items, labels = inputs.pop("items")[0], inputs["labels"]
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
        loss = loss + self.pairwise * ranked(outputs["logits"][:, 0], labels[:, 0], items)
        return (loss, outputs) if return_outputs else loss

    def logits(self, model: Any, inputs: dict[str, torch.Tensor]) -> Any:
        """One a judgement, read at its last token."""
        backbone, head = parts_of(model)
        ends = inputs.pop("ends")[0]
        # the parts are called one by one, past the model's own forward, so autocast is opened here
        with torch.autocast(ends.device.type, torch.bfloat16, enabled=self.args.bf16):
            hidden = backbone(**inputs, use_cache=False).last_hidden_state[0]
            return head(hidden[ends])


def ranked(logits: torch.Tensor, correct: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """Mean over pairs of a correct and a wrong judgement of one item of how unlikely their order is (Bradley-Terry).

    Args:
        logits, correct, items: one a judgement, (judgements,).

    Returns:
        0 where there is no such pair.
    """
    pairs = (items[:, None] == items) & (correct[:, None] > correct)
    gaps = (logits[:, None] - logits)[pairs]
    return functional.softplus(-gaps).sum() / max(1, len(gaps))


def shared_rows(
    part: Sequence[Example], size: int, pad: int | None, seed: int = 0, whole: bool = False
) -> list[dict[str, Any]]:
    """Sequences of about `size` tokens, each with all of some prompts' judgements.

    Args:
        part: examples.
        size: tokens of a sequence; a group that is longer is one of its own.
        pad: a judgement is read at the last token that is not this one.
        seed: of which prompts stand together.
        whole: keep an item's prompts, which show its responses in several orders, in one sequence, however long.
    """
    cut = [example.ids[: last_real(example.ids, pad) + 1] for example in part]
    drawn = [[group] for group in together(dict(enumerate(cut)), MOST)]
    if whole:
        items: dict[str, dict[int, list[int]]] = {}
        for at, example in enumerate(part):
            items.setdefault(example.item, {})[at] = cut[at]
        drawn = [together(item, MOST) for item in items.values()]
    Random(seed).shuffle(drawn)
    made = [[_group([cut[at] for at in group]) for group in unit] for unit in drawn]
    lengths = [sum(len(prompt) + sum(len(rest) + 1 for rest in rests) for prompt, rests in unit) for unit in made]
    judged = [[part[at] for group in unit for at in group] for unit in drawn]
    return [
        _row([*chain.from_iterable(made[at] for at in some)], [*chain.from_iterable(judged[at] for at in some)])
        for some in pack(lengths, size)
    ]


def _group(rows: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """(what the rows begin with alike, what each goes on with); neither is empty."""
    begin = max(1, min(alike(rows), min(map(len, rows)) - 1)) if len(rows) > 1 else 1
    return list(rows[0][:begin]), [list(row[begin:]) for row in rows]


def _row(groups: Sequence[tuple[list[int], list[list[int]]]], judged: Sequence[Example]) -> dict[str, Any]:
    numbers = {item: number for number, item in enumerate(dict.fromkeys(one.item for one in judged))}
    pairs = [(prompt, rest) for prompt, rests in groups for rest in rests]
    layout = laid_out([prompt for prompt, _ in pairs], [rest for _, rest in pairs])
    ends = [layout.places[last - 1] for last in accumulate(len(rest) for _, rest in pairs)]
    layout.fill()
    return {
        "input_ids": layout.ids,
        "position_ids": layout.positions,
        "parts": layout.parts,
        "ends": ends,
        "items": [numbers[one.item] for one in judged],
        "labels": [[float(one.correct)] for one in judged],
    }


def collate_shared(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch of one row as tensors."""
    (row,) = rows
    tensors = {name: torch.tensor([row[name]]) for name in ("input_ids", "position_ids", "ends", "items")}
    return tensors | {"parts": torch.tensor(row["parts"]), "labels": torch.tensor(row["labels"])}
