"""A folder that is ready for the Hub, and what its author says in `card.yaml`.

    title: SmolLM2-135M-GRM
    datasets: ["{org}/grm-contrast"]        # {org} is the organisation that it goes to

Knows nothing about what a repository of any kind holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from huggingface_hub.utils import HFValidationError, validate_repo_id

from ..types_grm import InvalidInput

VERSION = version("modeling-grm")
CARD_FILE = "card.yaml"
README = "README.md"


@dataclass(frozen=True)
class Repo:
    """A repository before it is uploaded.

    Attributes:
        id: `org/name`.
        type: model, dataset or space.
        folder: everything that goes up, and nothing else.
        checked_as: the name of its check in `checks`.
        creation: more for `create_repo`.
        replaces: patterns of files that are ours, so that old ones go when the new folder lacks them.
    """

    id: str
    type: str
    folder: Path
    checked_as: str
    creation: Mapping[str, Any] = field(default_factory=dict)
    replaces: tuple[str, ...] = ()

    def files(self) -> dict[str, Path]:
        """Path in the repository -> file."""
        found = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in found}

    def digests(self) -> dict[str, tuple[int, str]]:
        """Path in the repository -> (bytes, 12 hex digits of its SHA-256)."""
        return {name: (path.stat().st_size, _digest(path)) for name, path in self.files().items()}


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()[:12]


def checked_id(repo_id: str) -> str:
    """A repository's id.

    Raises:
        InvalidInput: it is not `org/name` in the Hub's spelling.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InvalidInput(f"repo: {repo_id!r} is not usable: {error}") from error
    if repo_id.count("/") != 1:
        raise InvalidInput(f"repo: {repo_id!r} is not usable; give it as org/name")
    return repo_id


def author_says(path: Path, repo_id: str) -> dict[str, Any]:
    """What a `card.yaml` says, `{org}` in it replaced.

    Raises:
        InvalidInput: it is not there, or no YAML mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        said = yaml.safe_load(text.replace("{org}", repo_id.split("/")[0]))
    except OSError as error:
        raise InvalidInput(
            f"card: {path} cannot be read; write title, summary, licence, language, limits and the rest there, or "
            "name another file with --card"
        ) from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"card: {path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict):
        raise InvalidInput(f"card: {path} holds no fields; write `title: ...` and the others, one a line")
    return said


def own_readme(folder: Path, card: Path | None) -> str | None:
    """The folder's own README.md, where there is no `card.yaml` to make one of."""
    if card is not None or (folder / CARD_FILE).is_file() or not (folder / README).is_file():
        return None
    return (folder / README).read_text(encoding="utf-8")


def new_folder(out: Path) -> Path:
    """An empty folder.

    Raises:
        InvalidInput: there is something in it already.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidInput(f"out: {out} is not empty; give a new folder")
    out.mkdir(parents=True, exist_ok=True)
    return out
