"""GRPO's forward and backward passes with each prompt read once for all of its rollouts.

    trainer_class(model)(model=model, reward_funcs=[spct_reward], rollout_func=Rollouts(), ...)

The log-probabilities are TRL's own, up to rounding, for a fraction of the tokens. Knows nothing about rewards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from trl import GRPOTrainer
from trl.trainer.utils import split_tensor_dict

from .shared_prompts import SHARED, laid_out, plain_model, shares

Batch = dict[str, Any]
"""Name -> a tensor or list with one entry a row, a figure of the whole batch, or None."""


def side_by_side(batches: Sequence[Batch], update: int) -> list[Batch]:
    """The same rows, those of a prompt beside one another.

    TRL shuffles all rollouts before it cuts them into batches, so that few stand beside others of their prompt. Rows
    move only among the `update` batches whose gradients are summed up, so an update stays what it was where its loss is
    a mean over rows, or over all their tokens.
    """
    found: list[Batch] = []
    for at in range(0, len(batches), update):
        some = batches[at : at + update]
        whole = {name: _joined([batch[name] for batch in some]) for name in some[0]}
        order = sorted(range(len(whole["prompt_ids"])), key=whole["prompt_ids"].tolist().__getitem__)
        found += split_tensor_dict({name: _ordered(value, order) for name, value in whole.items()}, len(some))
    return found


def _joined(values: list[Any]) -> Any:
    if isinstance(values[0], torch.Tensor):
        return torch.cat(values) if values[0].ndim else values[0]
    return None if values[0] is None else [one for value in values for one in value]


def _ordered(value: Any, order: list[int]) -> Any:
    if isinstance(value, torch.Tensor):
        return value[order] if value.ndim else value
    return None if value is None else [value[row] for row in order]


class SharedPasses(GRPOTrainer):
    """TRL's trainer; the model's attention must be plain (`shares`)."""

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        for one in filter(None, (self.model, self.ref_model)):
            plain_model(one).set_attn_implementation(SHARED)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        args: Any = self.args
        held = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        update, every = args.gradient_accumulation_steps, args.steps_per_generation
        if self._buffered_inputs is held or (every % update and update % every) or "num_images" in inputs:
            return inputs  # nothing new, updates that begin within what is held, or entries that are not one a row
        self._buffered_inputs = side_by_side(self._buffered_inputs, update)
        return self._buffered_inputs[self._step % every]

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


def trainer_class(model: Any) -> type[GRPOTrainer]:
    """The trainer with shared passes where the model can do them, else TRL's own."""
    return SharedPasses if shares(model) else GRPOTrainer
