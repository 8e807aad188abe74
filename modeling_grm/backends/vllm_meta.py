"""The meta RM in vLLM: its classify task without an activation, so that the raw logit comes out.

    pipeline("reward-scoring", model=VLLM("org/model"), meta_model=VLLMMetaRM("org/meta-rm"))

Token ids go in, as `meta_rm_grm` makes them; judgements of one request share their prefix in vLLM's cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from transformers import AutoTokenizer

from ..adapters_grm import adapter_base
from ..generation_grm import context_length
from ..meta_rm_grm import MetaRM, described, in_batches, last_real
from ..types_grm import InvalidInput
from .vllm import import_vllm


class VLLMMetaRM(MetaRM):
    """`MetaRM` over `vllm.LLM(runner="pooling")`; loaded when it is first used.

    Args:
        model: Hub id or folder of a whole checkpoint.
        batch_size: judgements handed to vLLM at once.
        engine_args: `vllm.LLM`'s own, such as `dtype`, `max_model_len`, `tensor_parallel_size`.

    Raises:
        ImportError: vLLM is missing.
        InvalidInput: an adapter, or see `MetaRM`.
    """

    def __init__(self, model: str, *, batch_size: int = 256, **engine_args: Any) -> None:
        import_vllm()
        config, about = described(model)
        if adapter_base(model) is not None:
            raise InvalidInput(f"meta_model: {model} is an adapter; merge it into its base first (recipes/meta_rm)")
        self._bind(AutoTokenizer.from_pretrained(model), about, batch_size)
        self.name_or_path, self.engine_args = model, engine_args
        self.context = int(engine_args.get("max_model_len") or context_length(config))
        self.pad = config.get_text_config().pad_token_id

    @cached_property
    def llm(self) -> Any:
        """The loaded `vllm.LLM`."""
        defaults = {"runner": "pooling", "enable_prefix_caching": True}
        return import_vllm().LLM(model=self.name_or_path, **{**defaults, **self.engine_args})

    def batches(self, rows: Mapping[int, Sequence[int]]) -> list[list[int]]:
        """Judgements of one prompt side by side; vLLM shares what is alike by itself."""
        return in_batches(sorted(rows, key=lambda at: list(rows[at])), self.batch_size)

    def logits(self, rows: Sequence[Sequence[int]]) -> list[float]:
        """Raw logits of judgements given as token ids, read where transformers reads them."""
        asked = [{"prompt_token_ids": self._real(row)} for row in rows]
        params = import_vllm().PoolingParams(use_activation=False)
        outputs = self.llm.classify(asked, pooling_params=params, use_tqdm=False)
        return [float(output.outputs.probs[0]) for output in outputs]

    def _real(self, row: Sequence[int]) -> list[int]:
        """The ids up to the token whose state is pooled: vLLM takes the last one, transformers the last no padding."""
        return list(row[: last_real(row, self.pad) + 1])
