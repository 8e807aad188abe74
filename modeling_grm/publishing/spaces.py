"""A Space's repository: its folder as it is, with the README.md that it has, or one made from its `card.yaml`.

    sdk: gradio
    suggested_hardware: zero-a10g        # what it is created with, too: a suggestion alone requests nothing

Knows nothing about what the app does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from huggingface_hub import RepoCard

from hub_cards import MissingField, SpaceCard, from_mapping, render

from ..types_grm import InvalidInput
from .repository import CARD_FILE, README, VERSION, Repo, author_says, own_readme
from .weights import place

LEFT_OUT = ("__pycache__", CARD_FILE, README, "tests")
NEEDED = ("title", "sdk", "app_file", "license")


def space_repo(folder: Path, repo_id: str, out: Path, *, card: Path | None = None) -> Repo:
    """Make the repository of a Space in an empty folder; it is created with the hardware that its card names.

    Raises:
        InvalidInput: no app, or what a card needs.
    """
    text = own_readme(folder, card) or _rendered(card or folder / CARD_FILE, repo_id)
    said = _metadata(text, folder / README)
    if not (folder / said["app_file"]).is_file():
        raise InvalidInput(f"folder: {folder} has no {said['app_file']}, which its card names as app_file")
    for path in folder.rglob("*"):
        if _goes_up(path, folder):
            place(path, out / path.relative_to(folder), link=False)
    (out / README).write_text(text, encoding="utf-8")
    hardware = said.get("suggested_hardware")
    creation = {"space_sdk": said["sdk"]} | ({"space_hardware": hardware} if hardware else {})
    return Repo(repo_id, "space", out, "space", creation=creation)


def _rendered(card: Path, repo_id: str) -> str:
    return render(from_mapping(SpaceCard, author_says(card, repo_id), repo_id=repo_id, version=VERSION))


def _metadata(text: str, path: Path) -> dict[str, Any]:
    try:
        said: dict[str, Any] = RepoCard(text).data.to_dict()
    except (ValueError, yaml.YAMLError) as error:
        raise InvalidInput(f"card: {path} has no readable metadata: {' '.join(str(error).split())}") from error
    missing = [name for name in NEEDED if not said.get(name)]
    if missing:
        raise MissingField(f"card: {', '.join(missing)} missing in the metadata of {path}")
    return said


def _goes_up(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return path.is_file() and not any(part.startswith(".") or part in LEFT_OUT for part in parts)
