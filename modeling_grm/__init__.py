"""Generative reward models for the Hugging Face Hub.

Importing this package registers the task, in either import order:

    import modeling_grm
    from transformers import pipeline

    pipe = pipeline("reward-scoring")
    pipe("What is 2+2?", ["4", "I like trains"], k=8)
"""

from __future__ import annotations

from collections.abc import Iterator

from transformers import AutoModelForCausalLM
from transformers.pipelines import PIPELINE_REGISTRY

from .backends.fake import Fake
from .backends.openai import OpenAICompatible
from .backends.vllm import VLLM
from .configuration_grm import GRMConfig
from .generation_grm import TransformersGenerator
from .parsing_grm import parse
from .pipeline_grm import RewardScoringPipeline
from .prompts_grm import TEMPLATES, Template, render
from .scoring_grm import score
from .types_grm import Completion, Critique, InvalidInput, Outcome, Prompt, Request, RewardResult
from .voting_grm import orders, vote

__version__ = "0.1.0"
__all__ = [
    "TEMPLATES",
    "VLLM",
    "Completion",
    "Critique",
    "Fake",
    "GRMConfig",
    "InvalidInput",
    "OpenAICompatible",
    "Outcome",
    "Prompt",
    "Request",
    "RewardResult",
    "RewardScoringPipeline",
    "Template",
    "TransformersGenerator",
    "orders",
    "parse",
    "render",
    "score",
    "vote",
]


class _EmbeddedDefault(tuple[str, str]):
    """(model, revision) of the task's default; the embedded judge is made when someone unpacks it, never at import."""

    def __iter__(self) -> Iterator[str]:
        from .embedded import embedded_judge

        yield str(embedded_judge())
        yield "main"


PIPELINE_REGISTRY.register_pipeline(
    "reward-scoring",
    pipeline_class=RewardScoringPipeline,
    pt_model=AutoModelForCausalLM,
    default={"model": _EmbeddedDefault(("embedded", "main"))},
    type="text",
)
# Else a pipeline that is saved would write the default above, and so make it, into a config.json that then asks for
# remote code. A saved judge is a plain checkpoint; `portable.make_portable` is what adds the code to a folder.
del RewardScoringPipeline._registered_impl  # type: ignore[attr-defined]
