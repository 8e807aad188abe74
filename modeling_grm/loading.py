"""A name becomes a pipeline: a Hub id, a folder, or nothing for the embedded judge; on whichever engine.

What can be refused without the weights (no such folder, no chat template, unreadable settings) is refused before them.
"""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from contextlib import suppress
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, pipeline
from transformers.utils import cached_file, logging

from .adapters_grm import adapter_base, adapter_task
from .embedded import embedded_judge
from .first_reading_grm import SELF, FirstReading, check_closing, judged_by
from .generation_grm import check_tokenizer, context_length
from .known_grm import origin_of, settings_of
from .meta_rm_grm import MetaRM, described
from .pipeline_grm import RewardScoringPipeline, check_kind
from .types_grm import InvalidInput

DTYPES = ("float32", "bfloat16", "float16")


ADAPTER_SETTINGS = "grm.json"  # where an adapter, which has no config.json, keeps the judge's settings


def _adapter_settings(name: str) -> dict[str, Any] | None:
    """What an adapter says of how it judges; transformers reads its base's configuration only."""
    own = adapter_base(name) and cached_file(name, ADAPTER_SETTINGS, _raise_exceptions_for_missing_entries=False)
    return dict(json.loads(Path(own).read_text(encoding="utf-8"))) if own else None


def configured(name: str) -> tuple[str, Any]:
    """(where the tokenizer stands, configuration with the judge's own settings)."""
    base = adapter_base(name) or name
    config, own = AutoConfig.from_pretrained(base), _adapter_settings(name)
    if own is not None:
        config.grm = own
    return base, config


def _parts(model: str | None) -> tuple[str, Any, Any]:
    """(name or folder, configuration, tokenizer), no weights read.

    Raises:
        InvalidInput: there is no such model, its `grm` settings cannot be read, or it has no chat template.
    """
    name = str(embedded_judge()) if model is None else model
    try:
        base, config = configured(name)
        tokenizer = AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(
            f"model: {name!r} cannot be loaded; give a Hub id or a checkpoint's folder ({error})"
        ) from error
    check_kind(config)
    settings_of(name, getattr(config, "grm", None))
    check_tokenizer(tokenizer)
    return name, config, tokenizer


def fastest_dtype(repeats: int = 5) -> torch.dtype:
    """bfloat16 where this CPU multiplies it faster than float32, as measured on one decoding step of a small model."""
    slow, fast = (_step_seconds(dtype, repeats) for dtype in (torch.float32, torch.bfloat16))
    return torch.bfloat16 if fast < slow else torch.float32


def _step_seconds(dtype: torch.dtype, repeats: int) -> float:
    rows, weights = torch.ones(8, 576, dtype=dtype), torch.ones(1536, 576, dtype=dtype)
    return min(timeit.repeat(lambda: rows @ weights.T, number=20, repeat=repeats))


def _dtype(name: str | None) -> Any:
    """What `pipeline(dtype=...)` takes; None is the checkpoint's own on an accelerator and the fastest on a CPU."""
    if name is None:
        return "auto" if torch.accelerator.is_available() else fastest_dtype()
    if name not in DTYPES:
        raise InvalidInput(f"dtype: {name!r} is not usable; give one of {', '.join(DTYPES)}")
    return name


def _transformers(model: str | None, dtype: str | None = None) -> dict[str, Any]:
    name, config, tokenizer = _parts(model)
    usable = _dtype(dtype)
    made = name if adapter_base(name) is None else _adapted(name, config, usable)
    return {"model": made, "tokenizer": tokenizer, "dtype": usable}


def _adapted(name: str, config: Any, dtype: Any) -> Any:
    """A LoRA adapter on its base, with the settings that stand beside it: `pipeline()` would read its base's alone."""
    model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
    model.config.grm = getattr(config, "grm", None)
    return model


def _vllm(model: str | None, dtype: str | None = None) -> dict[str, Any]:
    from .backends.vllm import VLLM

    return {"model": VLLM(str(embedded_judge()) if model is None else model, dtype=dtype or "auto")}


def _openai(model: str | None, base_url: str | None = None, concurrency: int = 16) -> dict[str, Any]:
    from .backends.openai import OpenAICompatible

    if model is None:
        raise InvalidInput("model: a server needs the name under which it serves one; give --model")
    return {"model": OpenAICompatible(base_url, model, concurrency=concurrency)}


ENGINES: dict[str, Callable[..., dict[str, Any]]] = {"transformers": _transformers, "vllm": _vllm, "openai": _openai}
"""What `pipeline()` is given for a model on each engine; the arguments behind the model are the engine's options."""


def _checked_options(backend: str, options: dict[str, Any]) -> dict[str, Any]:
    if backend not in ENGINES:
        raise InvalidInput(f"backend: {backend!r} is unknown; known are {', '.join(ENGINES)}")
    given = {name: value for name, value in options.items() if value is not None}
    unknown = set(given) - set(signature(ENGINES[backend]).parameters)
    for name in sorted(unknown):
        owners = [engine for engine, made in ENGINES.items() if name in signature(made).parameters]
        raise InvalidInput(f"{name}: is no option of the {backend} backend, but of {' and '.join(owners)}")
    return given


def load(
    model: str | None = None,
    backend: str = "transformers",
    *,
    base_url: str | None = None,
    concurrency: int | None = None,
    dtype: str | None = None,
    **settings: Any,
) -> Any:
    """The `RewardScoringPipeline` of a checkpoint, quietly.

    Args:
        model: Hub id, folder or LoRA adapter; the embedded judge if None. For a server the name that it serves.
        backend: a name of `ENGINES`.
        base_url, concurrency: of the openai backend: the server, and requests in flight.
        dtype: of the others: one of `DTYPES`.
        settings: `RewardScoringPipeline`'s.

    Raises:
        InvalidInput: an unknown backend or dtype, an option that the backend does not have, or see `_parts`; nothing
            of the weights has been read then.
        ImportError: the engine is not installed; the message ends with the pip line.
    """
    _quiet()
    options = _checked_options(backend, {"base_url": base_url, "concurrency": concurrency, "dtype": dtype})
    task: Any = "reward-scoring"
    reads_here = backend == "transformers"
    if isinstance(settings.get("meta_model"), (str, Path)):
        judge = (model or str(embedded_judge())) if reads_here else None
        check_meta(str(settings["meta_model"]), judge, settings.get("template"))
    pipe = pipeline(task, pipeline_class=RewardScoringPipeline, **ENGINES[backend](model, **options), **settings)
    pipe.adapter = model if model and reads_here and adapter_base(model) else None
    return pipe


def check_meta(asked: str, judge: str | None, template: str | None = None) -> None:
    """Refuse a meta RM before any weights are read.

    Args:
        asked: by name; "self" is the judge.
        judge: its name; None for one on an engine, whose "self" the pipeline itself refuses.
        template: of the call; the judge's own if None.

    Raises:
        InvalidInput: there is no such model, or it cannot rate.
    """
    if asked == SELF:
        if judge is not None:
            try:
                own = settings_of(judge, getattr(configured(judge)[1], "grm", None))
            except (OSError, ValueError, KeyError) as error:
                raise InvalidInput(
                    f'meta_model: "self" reads the judge, and {judge!r} cannot be loaded; name a checkpoint ({error})'
                ) from error
            check_closing(template or own.template, "meta_model")
    elif (read := judged_by(asked)) is not None:
        check_closing(read, "meta_model")
    else:
        described(asked)


def load_meta(name: str, *, dtype: str | None = None, batch_size: int = 8) -> MetaRM:
    """A meta RM by Hub id or folder, quietly; on an accelerator where there is one.

    Raises:
        InvalidInput: an unknown dtype, or see `MetaRM.from_pretrained`.
    """
    _quiet()
    return MetaRM.from_pretrained(name, device=_device(), dtype=_dtype(dtype), batch_size=batch_size)


def load_rater(
    name: str, *, judge: str | None = None, dtype: str | None = None, batch_size: int = 8
) -> MetaRM | FirstReading:
    """What rates judgements: a meta RM, or a judge that reads for itself (`first_reading_grm`).

    Args:
        name: Hub id or folder of either, or of a judge's adapter; "self" is `judge`.
        judge: the embedded one if None.
        dtype, batch_size: see `load_meta`.

    Raises:
        InvalidInput: see `load_meta` and `FirstReading.from_pretrained`.
    """
    read = (judge or str(embedded_judge())) if name == SELF else name
    if _adapts_a_judge(read):
        pipe = load(read, dtype=dtype)
        return self_reading(pipe, pipe.grm.template)
    if name != SELF and judged_by(name) is None:
        return load_meta(name, dtype=dtype, batch_size=batch_size)
    _quiet()
    return FirstReading.from_pretrained(read, device=_device(), dtype=_dtype(dtype))


def self_reading(pipe: Any, template: str) -> FirstReading:
    """The first reading of a judge that is loaded already.

    Args:
        pipe: a pipeline whose model is a `torch.nn.Module`.
        template: of the judgements.

    Raises:
        InvalidInput: see `FirstReading`.
    """
    reading = FirstReading(pipe.model, pipe.tokenizer, template)
    reading.judge = pipe.name
    return reading


def _adapts_a_judge(name: str) -> bool:
    """Whether it is an adapter of a judge, with settings of its own or its base's; what is no checkpoint is none."""
    with suppress(OSError, ValueError, KeyError):
        return adapter_task(name) == "CAUSAL_LM" and getattr(configured(name)[1], "grm", None) is not None
    return False


def _quiet() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _device() -> Any:
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None


def describe(model: str | None = None) -> dict[str, Any]:
    """What a checkpoint is and how it judges by default: plain JSON types, without its weights."""
    logging.set_verbosity_error()
    name, config, _ = _parts(model)
    stored = getattr(config, "grm", None)
    weights = sum(f.stat().st_size for f in Path(name).glob("*.safetensors")) if Path(name).is_dir() else 0
    return {
        "model": name,
        "architecture": (config.architectures or [config.model_type])[0],
        "context_tokens": context_length(config),
        "weights_mb": round(weights / 1e6, 1) if weights else None,
        "brings_its_own_pipeline": "reward-scoring" in (getattr(config, "custom_pipelines", None) or {}),
        "settings": origin_of(name, stored),
        **settings_of(name, stored).to_dict(),
    }
