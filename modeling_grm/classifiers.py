"""A causal checkpoint as a classifier with one label, to train: what meta RMs and scalar reward models start as.

    model, tokenizer = classifier("org/model")
    model = with_classifier_lora(model, rank=16, last=6)

Knows nothing about data and losses.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from .adapters_grm import adapter_base
from .meta_rm_grm import EAGER
from .types_grm import InvalidInput


def classifier(name: str, *, field: str = "model") -> tuple[Any, Any]:
    """(model in float32 with a random head of one label, tokenizer); eager attention for Gemma-2.

    Args:
        name: Hub id or folder.
        field: what errors call it.

    Raises:
        InvalidInput: there is no such model, or it is an adapter.
    """
    if adapter_base(name):
        raise InvalidInput(f"{field}: {name!r} is an adapter; name its base, or a checkpoint that it is merged into")
    try:
        eager = {"attn_implementation": "eager"} if AutoConfig.from_pretrained(name).model_type in EAGER else {}
        tokenizer = AutoTokenizer.from_pretrained(name)
        options: dict[str, Any] = {"num_labels": 1, "dtype": torch.float32, **eager}
        model = AutoModelForSequenceClassification.from_pretrained(name, **options)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(
            f"{field}: {name!r} cannot be loaded; give a Hub id or a checkpoint's folder ({error})"
        ) from error
    return model, tokenizer


def pad_as(model: Any, tokenizer: Any) -> None:
    """Give a model that names no token for padding its tokenizer's."""
    text = model.config.get_text_config()
    if text.pad_token_id is None:
        text.pad_token_id = tokenizer.pad_token_id


def check_layers(model: Any, last: int, name: str) -> None:
    """Refuse an adapter on more layers than there are.

    Raises:
        InvalidInput: `last` is negative or more than the model has.
    """
    layers = model.config.get_text_config().num_hidden_layers
    if not 0 <= last <= layers:
        raise InvalidInput(f"lora_last: {last!r} is not usable; {name!r} has {layers} layers")


def with_classifier_lora(model: Any, rank: int, last: int = 0) -> Any:
    """A sequence classifier with LoRA on its linear layers and its head trained whole; as it is for rank 0.

    Args:
        model: `...ForSequenceClassification`.
        rank: of the adapter; alpha is twice it.
        last: only on that many layers, counted from the head, so that the backward pass ends there; 0 is all.
    """
    if not rank:
        return model
    from peft import LoraConfig, get_peft_model

    layers = model.config.get_text_config().num_hidden_layers
    chosen: dict[str, Any] = {"layers_to_transform": list(range(layers - last, layers))} if last else {}
    names = sorted({n.split(".")[-1] for n, m in model.base_model.named_modules() if isinstance(m, torch.nn.Linear)})
    lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names, task_type="SEQ_CLS", **chosen)
    return get_peft_model(model, lora)
