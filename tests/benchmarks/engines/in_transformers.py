"""The transformers engines: what people do with `generate`, and ours, each in float32 and in bfloat16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from modeling_grm.generation_grm import TransformersGenerator
from modeling_grm.loading import fastest_dtype

from .jobs import TEMPERATURE, Engine, Job, counted, never


def _lengths(job: Job) -> dict[str, Any]:
    """Settings of `generate`: as many tokens as asked, sampled from the whole vocabulary."""
    sampling = {"do_sample": True, "temperature": TEMPERATURE, "top_k": 0, "top_p": 1.0}
    return {"max_new_tokens": job.new, "min_new_tokens": job.new, **sampling}


def naive(model: Any, tokenizer: Any, job: Job) -> int:
    """One `text-generation` call a sample, as the released checkpoint's card shows."""
    pipe: Any = pipeline("text-generation", model=model, tokenizer=tokenizer)
    written = 0
    for group, ids in zip(job.groups, job.ids, strict=True):
        for _ in group.samples:
            found = pipe([dict(message) for message in group.messages], return_tensors=True, **_lengths(job))
            written += len(found[0]["generated_token_ids"]) - len(ids)
    return written


def num_return_sequences(model: Any, _: Any, job: Job) -> int:
    """One `generate` call an order, for all samples of that order."""
    written = 0
    for group, ids in zip(job.groups, job.ids, strict=True):
        prompt = torch.tensor([ids])
        settings = {"attention_mask": torch.ones_like(prompt), "num_return_sequences": len(group.samples)}
        with torch.inference_mode():
            out = model.generate(prompt, **settings, **_lengths(job))
        written += out.shape[0] * (out.shape[1] - len(ids))
    return written


def ours(model: Any, tokenizer: Any, job: Job) -> int:
    """All samples of all orders in one call; the engine is made anew, as each call of the pipeline does."""
    engine = TransformersGenerator(model, tokenizer, temperature=TEMPERATURE, max_new_tokens=job.new, stop=never)
    engine.ends = frozenset()  # so that no sample ends early
    return counted([completion for _, completion in engine(job.prompts)])


WAYS = {
    "naive": (naive, torch.float32),
    "naive-bf16": (naive, torch.bfloat16),
    "num_return_sequences": (num_return_sequences, torch.float32),
    "num_return_sequences-bf16": (num_return_sequences, torch.bfloat16),
    "ours-fp32": (ours, torch.float32),
    "ours": (ours, None),
}
"""What does the work, and in which dtype; None is the fastest, as `grm score` measures it."""


@contextmanager
def opened(folder: str, names: list[str]) -> Iterator[tuple[Any, dict[str, Engine]]]:
    """The tokenizer and the engines of these names; each dtype's model is loaded once."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    fastest = fastest_dtype()

    @cache
    def model(dtype: torch.dtype) -> Any:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()

    chosen = {name: (way, dtype or fastest) for name, (way, dtype) in WAYS.items() if name in names}
    yield (
        tokenizer,
        {
            name: Engine(partial(way, model(dtype), tokenizer), str(dtype).removeprefix("torch."))
            for name, (way, dtype) in chosen.items()
        },
    )
