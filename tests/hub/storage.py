"""What a Hub holds: repositories with their commits, branches and tags, and large files by their hash.

A commit is a whole tree of files; a branch or a tag names a commit. Knows no HTTP and no users.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .refusals import Refusal

SHORT_HASH = 7
_serial = itertools.count()


@dataclass(frozen=True)
class File:
    """A file of one commit; `large` where it was committed by its SHA-256 rather than with its content."""

    content: bytes
    large: bool = False

    @cached_property
    def git_hash(self) -> str:
        """The name git gives a blob with this content."""
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @cached_property
    def sha256(self) -> str:
        """Hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def etag(self) -> str:
        """What the client names its cached copy after."""
        return self.sha256 if self.large else self.git_hash


@dataclass(frozen=True)
class Commit:
    """A tree of files, its title, and the commit before it."""

    sha: str
    files: Mapping[str, File]
    title: str
    parent: Commit | None = None

    @classmethod
    def of(cls, files: Mapping[str, File], title: str, parent: Commit | None = None) -> Commit:
        """A new commit; the same files committed again get another hash."""
        return cls(hashlib.sha1(f"{next(_serial)} {title}".encode()).hexdigest(), dict(files), title, parent)

    def history(self) -> Iterator[Commit]:
        """This commit and those before it, the newest first."""
        commit: Commit | None = self
        while commit is not None:
            yield commit
            commit = commit.parent


@dataclass
class Repo:
    """One repository.

    Attributes:
        kind: model, dataset or space.
        name: `namespace/name`.
        private: only its namespace may see it.
        gated: False, or how access is granted ("auto", "manual"); until then only its metadata can be read.
        granted: users who may read the files of a gated one.
        asked: what it was created with: a Space's sdk and hardware, for one.
        secrets, variables: a Space's.
    """

    kind: str
    name: str
    private: bool = False
    gated: bool | str = False
    granted: set[str] = field(default_factory=set)
    asked: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    branches: dict[str, Commit] = field(default_factory=dict)
    tags: dict[str, Commit] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.put("main", Commit.of({}, "initial commit"))

    @property
    def namespace(self) -> str:
        """The user or organisation that it belongs to."""
        return self.name.split("/")[0]

    def put(self, branch: str, commit: Commit) -> None:
        """The branch's newest commit."""
        self.branches[branch] = self.commits[commit.sha] = commit

    def commit(self, revision: str) -> Commit:
        """The commit that a branch, a tag, or the start of a hash names.

        Raises:
            Refusal: there is none.
        """
        named = self.branches.get(revision) or self.tags.get(revision)
        if named is None and len(revision) >= SHORT_HASH:
            named = next((commit for sha, commit in self.commits.items() if sha.startswith(revision)), None)
        if named is None:
            raise Refusal("RevisionNotFound", f"Invalid rev id: {revision}")
        return named

    def branch(self, name: str) -> Commit:
        """The newest commit of a branch, to commit on top of.

        Raises:
            Refusal: there is no such branch; a tag and a hash cannot be committed to.
        """
        if name not in self.branches:
            raise Refusal("RevisionNotFound", f"Invalid branch: {name}")
        return self.branches[name]


@dataclass
class Storage:
    """All repositories by type and name, and every large file that was ever sent."""

    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def create(self, repo: Repo) -> None:
        """Add a repository.

        Raises:
            Refusal: its type has one of that name.
        """
        if (repo.kind, repo.name) in self.repos:
            raise Refusal("Conflict", f"You already created this {repo.kind} repo")
        self.repos[repo.kind, repo.name] = repo

    def find(self, kind: str, name: str) -> Repo:
        """The repository of that type and name.

        Raises:
            Refusal: there is none.
        """
        if (kind, name) not in self.repos:
            raise Refusal("RepoNotFound", "Repository not found")
        return self.repos[kind, name]

    def blob(self, sha256: str) -> File:
        """A large file that was sent before.

        Raises:
            Refusal: nobody sent it.
        """
        if sha256 not in self.blobs:
            raise Refusal("BadRequest", f"LFS pointer pointed to a file that does not exist: {sha256}")
        return File(self.blobs[sha256], large=True)
