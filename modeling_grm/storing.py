"""What a run writes into a trajectory store: who judged, with which settings, and from which row each sample comes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from transformers.utils.hub import extract_commit_hash

from .rows import Row
from .trajectories import Settings, Store, content_hash

PACKAGES = {"transformers": "transformers", "vllm": "vllm", "openai": "huggingface_hub"}


def open_store(
    folder: Path,
    pipe: Any,
    settings: Mapping[str, Any],
    backend: str,
    *,
    text: bool | None = None,
    mix: bool = False,
) -> Store:
    """The store of a run with this pipeline and these call settings, ready to be written.

    A checkpoint in a folder is named after the folder and its files' content, a model of the Hub after its commit; an
    adapter beside its base.

    Raises:
        InvalidInput: see `Store`.
    """
    name = str(getattr(pipe.model, "name_or_path", ""))
    local = Path(name).is_dir() and bool(name)
    run = Settings.of(
        pipe.configuration(**settings),
        model=Path(name).name if local else name,
        revision=content_hash(name) if local else getattr(pipe.model.config, "_commit_hash", None),
        adapter=pipe.adapter and named(pipe.adapter),
        backend=backend,
        seed=int(settings.get("seed") or 0),
    )
    return Store(folder, run, text=text, mix=mix, backend_version=_version(backend, pipe))


def named(checkpoint: str) -> str:
    """`folder@hash` of its content, or `org/name@commit` of the Hub."""
    if Path(checkpoint).is_dir():
        return f"{Path(checkpoint).name}@{content_hash(checkpoint)}"
    return "@".join(filter(None, (checkpoint, commit_of(checkpoint))))


def commit_of(name: str) -> str | None:
    """Of a Hub id that has just been loaded, so that its files are in the cache; None for any other name."""
    with suppress(HFValidationError):
        found = (try_to_load_from_cache(name, file) for file in ("config.json", "adapter_config.json"))
        return next((extract_commit_hash(path, None) for path in found if isinstance(path, str)), None)
    return None


def _version(backend: str, pipe: Any) -> str | None:
    """Such as "transformers 5.23.0 bfloat16"."""
    package = PACKAGES.get(backend)
    try:
        number = version(package) if package else ""
    except PackageNotFoundError:  # some builds of vLLM have another name
        number = ""
    dtype = str(getattr(pipe.model, "dtype", None) or "").removeprefix("torch.")
    return " ".join(part for part in (package, number, dtype) if part) or None


def register(store: Store, row: Row) -> None:
    """Say what row the next prompts come from; without an id of its own it is its file's name and line.

    Raises:
        InvalidInput: its labels or its best do not fit its responses.
    """
    name = Path(row.id).name if row.id == row.place else row.id
    facts = {"labels": row.labels, "best": row.best, "source": row.source, "licence": row.licence}
    store.register(row.request, id=name, **facts)
