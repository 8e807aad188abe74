"""How released judges want to be asked, by Hub id, where their own `config.json` says nothing.

    settings_of("BBQGOD/DeepSeek-GRM-16B", None).template -> "deepseek-grm-card"

A checkpoint's own `config.json["grm"]` always counts more. A chat model that is neither known nor says anything is an
untrained judge with `GRMConfig`'s defaults: the template `deepseek-grm`, 8 samples at temperature 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .configuration_grm import GRMConfig

_CARD = "deepseek-grm-card"  # the spelling that those who run the released checkpoints carry; the paper prints another
KNOWN: dict[str, GRMConfig] = {
    "BBQGOD/DeepSeek-GRM-16B": GRMConfig(template=_CARD, base="deepseek-ai/DeepSeek-V2-Lite"),
    "BBQGOD/DeepSeek-GRM-27B": GRMConfig(template=_CARD, base="google/gemma-2-27b"),
}
"""`BBQGOD/DeepSeek-GRM-27B-MetaRM` needs no entry: a meta RM has one input format and no settings."""


def origin_of(name: str, stored: Mapping[str, Any] | None) -> str:
    """Where a checkpoint's settings come from, in words."""
    if stored is not None:
        return "its own"
    return "known by its id" if name in KNOWN else "the defaults: nobody trained it as a judge"


def settings_of(name: str, stored: Mapping[str, Any] | None) -> GRMConfig:
    """The settings of a checkpoint: its own, else those known by its Hub id, else the defaults.

    Args:
        name: Hub id, or anything else, which is not known.
        stored: its `config.json["grm"]`, None where there is none.

    Raises:
        InvalidInput: its own cannot be read.
    """
    return KNOWN.get(name, GRMConfig()) if stored is None else GRMConfig.from_dict(stored)
