"""A repository of the pipeline's files alone: one copy for many checkpoints, which name it in their `config.json`."""

from __future__ import annotations

from pathlib import Path

from hub_cards import CodeCard, render

from ..embedded import HUB_ID
from ..portable import portable_files
from .repository import README, VERSION, Repo


def code_repo(repo_id: str, out: Path) -> Repo:
    """Make the repository of the portable files in an empty folder."""
    for name, text in portable_files().items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")
    card = CodeCard(
        repo_id=repo_id,
        title="The reward-scoring pipeline",
        summary="The code of a transformers pipeline for generative reward models.",
        licence="apache-2.0",
        language=("en",),
        limits=("It holds no weights. Pin `code_revision` where you cannot read every change.",),
        version=VERSION,
        files=tuple(portable_files()),
        example=HUB_ID,
    )
    (out / README).write_text(render(card), encoding="utf-8")
    return Repo(repo_id, "model", out, "code", replaces=("*_grm.py",))
