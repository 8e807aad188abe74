"""Rollouts for TRL's GRPO by the transformers engine: the G samples of a prompt are rows over one copy of its cache.

    GRPOTrainer(model=model, reward_funcs=[spct_reward], rollout_func=Rollouts(), ...)

The tokens are those that were sampled, the end of the turn included, and prompts become the same token ids as when the
judge is used. A rollout's seed comes from the run's seed, the step and its place, so a resumed run draws the same ones.
Needs the whole weights on each process: DDP, or FSDP and ZeRO-3 that gather them; else use vLLM.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import torch
from trl.models import unwrap_model_for_generation

from .generation_grm import TransformersGenerator, encode
from .types_grm import InvalidInput, Prompt

SEED_LIMIT = 2**31


def rollout_seed(seed: int, step: int, process: int, place: int) -> int:
    """The seed of one rollout, in 0..2^31-1."""
    name = f"rollout {seed} {step} {process} {place}"
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big") % SEED_LIMIT


def writer(model: Any, bf16: bool) -> Any:
    """The model that writes the rollouts: itself, or where that is much faster a copy in bfloat16, adapter merged.

    That is on a CPU, with float32 weights and passes in bfloat16: autocast casts every frozen weight anew for each
    token. The copy has this step's weights, rounded as they are wherever the judge is used in bfloat16, and lives as
    long as the rollouts are written.
    """
    weight = next(model.parameters())
    if not bf16 or weight.device.type != "cpu" or weight.dtype != torch.float32:
        return model
    copied = copy.deepcopy(model)
    merged = copied.merge_and_unload() if hasattr(copied, "merge_and_unload") else copied
    merged.__dict__.pop("forward", None)  # a trainer's, which is bound to the model that was copied
    return merged.to(torch.bfloat16)


class Rollouts:
    """TRL's `rollout_func`: prompts (chat messages, each as often as it has rollouts) in, token ids out.

    Args:
        batch_size: distinct prompts at work together.
    """

    def __init__(self, batch_size: int = 64) -> None:
        self.batch_size = batch_size

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """`prompt_ids` and `completion_ids`, one list a prompt; `logprobs` is None: the trainer computes its own.

        Raises:
            InvalidInput: a prompt that does not fit, or a model that failed to go on from one.
        """
        process, step = trainer.accelerator.process_index, trainer.state.global_step
        asked = [
            Prompt(tuple(messages), (0,), rollout_seed(trainer.args.seed, step, process, place))
            for place, messages in enumerate(prompts)
        ]
        with self._model(trainer) as model:
            training, tokenizer = model.training, trainer.processing_class
            try:
                made = dict(self._engine(writer(model, trainer.args.bf16), tokenizer, trainer.args)(asked))
            finally:
                model.train(training)
        failed = next((made[at].error for at in sorted(made) if made[at].error), None)
        if failed is not None:
            raise InvalidInput(f"rollout: the model failed to write one; {failed}")
        return {
            "prompt_ids": [encode(tokenizer, prompt.messages) for prompt in asked],
            "completion_ids": [list(made[at].token_ids) for at in range(len(asked))],
            "logprobs": None,
        }

    def _model(self, trainer: Any) -> Any:
        args = trainer.args
        return unwrap_model_for_generation(
            trainer.model_wrapped,
            trainer.accelerator,
            gather_deepspeed3_params=args.ds3_gather_for_generation,
            gradient_checkpointing_kwargs=args.gradient_checkpointing_kwargs,
        )

    def _engine(self, model: Any, tokenizer: Any, args: Any) -> TransformersGenerator:
        return TransformersGenerator(
            model,
            tokenizer,
            temperature=args.temperature,
            top_p=args.top_p,
            top_k=args.top_k or 0,
            max_new_tokens=args.max_completion_length,
            batch_size=self.batch_size,
        )
