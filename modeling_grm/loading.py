"""A name becomes a pipeline: a Hub id, a folder, or nothing for the embedded judge.

What can be refused without the weights (no such folder, no chat template, unreadable settings) is refused before them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, pipeline
from transformers.utils import find_adapter_config_file, logging

from .configuration_grm import GRMConfig
from .embedded import embedded_judge
from .generation_grm import context_length, encode
from .pipeline_grm import RewardScoringPipeline
from .types_grm import InvalidInput


def _base(name: str) -> str:
    """Where a checkpoint's configuration and tokenizer stand: a LoRA adapter's are those of its base."""
    found = None if (Path(name) / "config.json").is_file() else find_adapter_config_file(name)
    if found is None:
        return name
    return str(json.loads(Path(found).read_text(encoding="utf-8"))["base_model_name_or_path"])


def _parts(model: str | None) -> tuple[str, Any, Any]:
    """(name or folder, configuration, tokenizer), no weights read.

    Raises:
        InvalidInput: there is no such model, its `grm` settings cannot be read, or it has no chat template.
    """
    name = str(embedded_judge()) if model is None else model
    try:
        base = _base(name)
        config, tokenizer = AutoConfig.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(
            f"model: {name!r} cannot be loaded; give a Hub id or a checkpoint's folder ({error})"
        ) from error
    GRMConfig.from_dict(getattr(config, "grm", None))
    encode(tokenizer, ({"role": "user", "content": "?"},))
    return name, config, tokenizer


def load(model: str | None = None, **settings: Any) -> Any:
    """The `RewardScoringPipeline` of a checkpoint or a LoRA adapter, quietly.

    Raises:
        InvalidInput: see `_parts`; nothing of the weights has been read then.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    name, _, tokenizer = _parts(model)
    task: Any = "reward-scoring"
    made: Any = pipeline(task, model=name, tokenizer=tokenizer, pipeline_class=RewardScoringPipeline, **settings)
    return made


def describe(model: str | None = None) -> dict[str, Any]:
    """What a checkpoint is and how it judges by default: plain JSON types, without its weights."""
    logging.set_verbosity_error()
    name, config, _ = _parts(model)
    weights = sum(f.stat().st_size for f in Path(name).glob("*.safetensors")) if Path(name).is_dir() else 0
    return {
        "model": name,
        "architecture": (config.architectures or [config.model_type])[0],
        "context_tokens": context_length(config),
        "weights_mb": round(weights / 1e6, 1) if weights else None,
        "brings_its_own_pipeline": "reward-scoring" in (getattr(config, "custom_pipelines", None) or {}),
        **GRMConfig.from_dict(getattr(config, "grm", None)).to_dict(),
    }
