"""Repositories and their files as the Hub's API tells them: plain JSON types, and a card's front matter.

Knows field names; nothing about requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from .storage import Commit, File, Repo

NOW = "2026-01-01T00:00:00.000Z"
LICENCES = {
    "apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "odc-by", "gemma",
    "llama3", "other", "unknown",
}  # fmt: skip
PIPELINES = {"text-generation", "text-classification", "text-ranking", "feature-extraction", "other"}
LISTS = ("tags", "datasets", "language", "metrics", "base_model", "task_categories", "size_categories")


def front_matter(text: str) -> dict[str, Any]:
    """The YAML at the start of a card; empty where there is none.

    Raises:
        ValueError: it is no mapping, or no YAML.
    """
    if not text.startswith("---\n"):
        return {}
    try:
        found = yaml.safe_load(text[4:].split("\n---", 1)[0])
    except yaml.YAMLError as error:
        raise ValueError(f"the metadata is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise ValueError("the metadata is no mapping")
    return found


def card_faults(text: str, kind: str) -> list[str]:
    """What the Hub would refuse in a card's metadata."""
    try:
        card = front_matter(text)
    except ValueError as error:
        return [str(error)]
    known = {"license": LICENCES, "pipeline_tag": PIPELINES}
    faults = [
        f'"{name}" must be one of {sorted(known[name])}' for name in known if card.get(name, "other") not in known[name]
    ]
    faults += [f'"{name}" must be a string or a list of strings' for name in LISTS if not _is_texts(card.get(name, ""))]
    return faults + ['"sdk" is required'] * (kind == "space" and bool(card) and "sdk" not in card)


def _is_texts(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _card(commit: Commit) -> dict[str, Any]:
    try:
        return front_matter(commit.files.get("README.md", File(b"")).content.decode("utf-8", "replace"))
    except ValueError:
        return {}


def info(repo: Repo, commit: Commit) -> dict[str, Any]:
    """A repository at a commit."""
    card = _card(commit)
    said = {
        "_id": "0", "id": repo.name, "author": repo.namespace, "sha": commit.sha, "lastModified": NOW, "createdAt": NOW,
        "private": repo.private, "gated": repo.gated, "disabled": False, "downloads": 0, "likes": 0,
        "tags": card.get("tags", []), "cardData": card,
        "siblings": [{"rfilename": path, "size": len(file.content), "blobId": file.git_hash} | _large(file)
                     for path, file in sorted(commit.files.items())],
    }  # fmt: skip
    named = {name: card[name] for name in ("pipeline_tag", "library_name") if repo.kind == "model" and name in card}
    space = {"sdk": repo.asked.get("sdk"), "runtime": runtime(repo)} if repo.kind == "space" else {}
    return said | named | space


def runtime(repo: Repo) -> dict[str, Any]:
    """What a Space runs on."""
    hardware = repo.asked.get("hardware") or "cpu-basic"
    return {"stage": "RUNNING", "hardware": {"current": hardware, "requested": hardware}, "gcTimeout": 172800}


def _large(file: File) -> dict[str, Any]:
    if not file.large:
        return {}
    return {"lfs": {"oid": file.sha256, "sha256": file.sha256, "size": len(file.content), "pointerSize": 134}}


def entry(path: str, file: File, commit: Commit | None = None) -> dict[str, Any]:
    """A file of a tree; with the commit where the client wants more."""
    said = {"type": "file", "path": path, "size": len(file.content), "oid": file.git_hash} | _large(file)
    return said if commit is None else said | {"lastCommit": {"id": commit.sha, "title": commit.title, "date": NOW}}


def folder(path: str) -> dict[str, Any]:
    """A folder of a tree."""
    return {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}


def folders(paths: Iterable[str]) -> set[str]:
    """Every folder that these files stand in."""
    parts = (path.split("/")[:-1] for path in paths)
    return {"/".join(part[: at + 1]) for part in parts for at in range(len(part))}


def refs(repo: Repo) -> dict[str, Any]:
    """Branches, tags and pull requests."""

    def told(group: str, commits: dict[str, Commit]) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": name if name.startswith("refs/") else f"refs/{group}/{name}", "targetCommit": one.sha}
            for name, one in commits.items()
        ]

    pulls = {name: one for name, one in repo.branches.items() if name.startswith("refs/pr/")}
    heads = {name: one for name, one in repo.branches.items() if name not in pulls}
    return {
        "branches": told("heads", heads),
        "tags": told("tags", repo.tags),
        "pullRequests": told("pr", pulls),
        "converts": [],
    }


def log(commit: Commit) -> list[dict[str, Any]]:
    """A commit and those before it."""
    return [
        {"id": one.sha, "title": one.title, "message": "", "date": NOW, "authors": [{"user": "me"}]}
        for one in commit.history()
    ]
