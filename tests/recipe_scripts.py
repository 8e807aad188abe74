"""A recipe's script as a module, by its path alone: its folder is not on the import path, as when it runs by itself."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def module_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, known to `sys.modules` (dataclasses ask it for their annotations) until the test ends."""
    name = f"recipe_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module
