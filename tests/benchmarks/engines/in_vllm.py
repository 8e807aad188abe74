"""vLLM in this process: its own `LLM.generate`, and our backend over the very same `LLM`.

Both get the same prompts with an empty prefix cache. Raw vLLM has its token ids ready; ours renders, tokenises, streams
and asks its stop rule within the time that is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import vllm

from modeling_grm.backends.vllm import VLLM

from .jobs import TEMPERATURE, Engine, Job, counted, never

DTYPE = "bfloat16"
CONTEXT = 4096


def raw(llm: Any, seeded: bool, job: Job) -> int:
    """One request an order with n samples, all handed over at once; seeds, where given, are those that ours gives."""
    seeds = [group.samples[0][1] if seeded else None for group in job.groups]
    settings = [
        vllm.SamplingParams(
            n=len(group.samples), temperature=TEMPERATURE, max_tokens=job.new, ignore_eos=True, seed=seed
        )
        for group, seed in zip(job.groups, seeds, strict=True)
    ]
    outputs = llm.generate([{"prompt_token_ids": ids} for ids in job.ids], settings, use_tqdm=False)
    return sum(len(one.token_ids) for output in outputs for one in output.outputs)


def ours(backend: VLLM, job: Job) -> int:
    """Our backend; its requests go on to the last token because the benchmark asks vLLM to ignore the end of a turn."""
    to_the_end = partial(vllm.SamplingParams, ignore_eos=True)
    with patch.object(vllm, "SamplingParams", to_the_end):
        return counted([completion for _, completion in backend.engine(job.config, stop=never)(job.prompts)])


@contextmanager
def opened(folder: str, names: list[str]) -> Iterator[tuple[Any, dict[str, Engine]]]:
    """The tokenizer and the engines of these names, over one `LLM` that ends with the block."""
    backend = VLLM(folder, dtype=DTYPE, enforce_eager=True, max_model_len=CONTEXT)
    llm = backend.llm
    ways = {
        "vllm-raw": partial(raw, llm, False),
        "vllm-raw-seeded": partial(raw, llm, True),
        "vllm-ours": partial(ours, backend),
    }
    try:
        chosen = {name: Engine(way, DTYPE, llm.reset_prefix_cache) for name, way in ways.items() if name in names}
        yield backend.tokenizer, chosen
    finally:
        llm.llm_engine.engine_core.shutdown()
