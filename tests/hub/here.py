"""Lets this very process speak to a local Hub, though the client has read its settings when it was imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import HfFileSystem, constants
from transformers.utils import hub as transformers_hub

from .server import LocalHub


@contextmanager
def spoken_to(hub: LocalHub, home: Path) -> Iterator[pytest.MonkeyPatch]:
    """`huggingface_hub` (and `datasets`, where it is imported) ask this Hub, and keep what they fetch under `home`.

    Yields the monkeypatch, for a test that wants another token: `patched.setenv("HF_TOKEN", hub.read_token)`.
    """
    client = {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
    }
    datasets = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": False, "HF_DATASETS_CACHE": home / "datasets"}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HF_TOKEN", hub.token)
        for name, value in client.items():
            patched.setattr(constants, name, value)
        for name, value in datasets.items() if "datasets" in sys.modules else ():
            patched.setattr(sys.modules["datasets.config"], name, value)
        patched.setattr(huggingface_hub.hf_api.api, "endpoint", hub.url)
        patched.setattr(transformers_hub, "_hf_api", None, raising=False)  # it was made for another Hub
        try:
            _forget()
            yield patched
        finally:
            _forget()


def _forget() -> None:
    """Connections to, and listings of, another Hub."""
    HfFileSystem.clear_instance_cache()
    huggingface_hub.close_session()
