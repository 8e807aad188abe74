"""A report's files: `report.json`, `report.md` and its pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..types_grm import InvalidInput
from .figures import FORMAT
from .pictures import draw
from .tables import markdown

JSON_FILE, MARKDOWN_FILE = "report.json", "report.md"


def write(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write JSON and Markdown; the pictures are `write_pictures`'s."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        JSON_FILE: json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        MARKDOWN_FILE: markdown(report),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def write_pictures(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw what the figures allow.

    Raises:
        ImportError: matplotlib is missing.
    """
    return [path for part in report["benchmarks"].values() for path in draw(part, folder)]


def read_report(path: str | Path) -> dict[str, Any]:
    """A report from its file or its folder.

    Raises:
        InvalidInput: it is not there, cannot be read, or is of another format.
    """
    path = Path(path)
    path = path / JSON_FILE if path.is_dir() else path
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        found = report["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"report: {path} cannot be read ({error}); give the report.json of `grm bench`") from error
    if found != FORMAT:
        raise InvalidInput(f"report: {path} has format {found!r}, this version reads {FORMAT}; make it anew")
    return dict(report)
