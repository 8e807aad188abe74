"""On what the figures were measured."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "sve", "bf16")
PACKAGES = ("torch", "transformers", "tokenizers", "vllm", "huggingface_hub")


def _cpu(name: str, default: str = "") -> str:
    """A field of /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return default
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), default)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Processor, cores and what it can multiply."""
    flags = set(_cpu("flags").split()) | set(_cpu("Features").split())
    return {
        "cpu": _cpu("model name", platform.processor()),
        "cores": cores(),
        "flags": [flag for flag in TELLING_FLAGS if flag in flags],
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, Any]:
    """Of Python and of what does the work; None where it is missing."""
    return {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}}


def load() -> float:
    """Processes that want a core, averaged over the last minute: more than our own means noise."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else -1.0
