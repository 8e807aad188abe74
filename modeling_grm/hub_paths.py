"""Addresses on the Hub, read as the bytes come and written as one commit.

    hf://datasets/org/name/rows.jsonl        a file of a dataset's repository; hf://org/name/... of a model's
    hf://datasets/org/name@v1/rows.jsonl     at a branch, a tag or a commit
    hf://datasets/org/name                   the dataset itself: all the rows of one split

Speaks through `huggingface_hub.HfFileSystem` and `datasets`, and says what to check where they fail. Knows nothing
about what is in a file.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from .types_grm import InvalidInput

SCHEME = "hf://"
BUFFER = 1 << 16  # bytes that are fetched ahead of the line that is read
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
_WAYS_OUT: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((GatedRepoError,), f"the repository is gated; ask for access on its page, then {_LOG_IN}"),
    ((RevisionNotFoundError,), "no such revision; give a branch, a tag or a commit behind the @"),
    (
        (RepositoryNotFoundError,),
        "no such repository, or it is private; check its name and its type (hf://datasets/org/name for a dataset, "
        f"hf://org/name for a model), or {_LOG_IN}",
    ),
    ((OfflineModeIsEnabled,), "the Hub is not asked in offline mode; unset HF_HUB_OFFLINE, or give a local file"),
    ((HFValidationError,), "no address on the Hub; give one such as hf://datasets/org/name/rows.jsonl"),
)


def is_hub(path: str | Path) -> bool:
    """Whether this is an address on the Hub rather than a local path."""
    return str(path).startswith(SCHEME)


@contextmanager
def asking(path: str) -> Iterator[None]:
    """Says of an address what to check where the Hub's client refuses it.

    Raises:
        InvalidInput: in place of whatever the client raised.
    """
    try:
        yield
    except (InvalidInput, ImportError):
        raise
    except Exception as error:  # the client, its HTTP library and the readers have kinds of their own
        raise InvalidInput(f"{path}: {_way_out(error)}") from error


def _way_out(error: BaseException) -> str:
    causes = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    for kinds, way in _WAYS_OUT:
        if any(isinstance(cause, kinds) for cause in causes):
            return way
    if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
        return f"this token may not do that; give one with permission to write under that name: {_LOG_IN}"
    return f"cannot be used: {str(error).strip().partition(chr(10))[0] or type(error).__name__}"


def _files() -> HfFileSystem:
    """The Hub's file system, without listings of an earlier call."""
    return HfFileSystem(skip_instance_cache=True)


def resolve(path: str) -> Any:
    """The repository that an address names (`repo_type`, `repo_id`, `revision`) and the path inside it.

    Raises:
        InvalidInput: no such repository or revision, no address, or a bucket's, which has no revisions.
    """
    if path.startswith(f"{SCHEME}buckets/"):
        raise InvalidInput(f"{path}: a bucket; give the address of a repository, such as hf://datasets/org/name")
    with asking(path):
        try:
            return _files().resolve_path(path)
        except (ValueError, NotImplementedError) as error:
            raise HFValidationError(f"{path}: {error}") from error


def check_file(path: str) -> None:
    """Refuse an address that is no file which can be read, before anything else is begun.

    Raises:
        InvalidInput: what is not there, or not allowed; where the file is not there, with those that are.
    """
    found, files = resolve(path), _files()
    with asking(path):
        try:
            is_file = files.info(path)["type"] == "file"
        except FileNotFoundError:
            is_file = False
        if not is_file:
            raise InvalidInput(f"{path}: no such file; the repository has {_named(files, found)}")
        HfApi().auth_check(found.repo_id, repo_type=found.repo_type)


def _named(files: HfFileSystem, found: Any, most: int = 8) -> str:
    root = found.unresolve().removesuffix(found.path_in_repo)
    paths = [path.removeprefix(root).lstrip("/") for path in files.find(root)]
    return ", ".join(paths[:most]) + f" and {len(paths) - most} more" * (len(paths) > most) or "none"


class _Streamed(io.RawIOBase):
    """A file's bytes in their order, fetched as they are read; whatever goes wrong on the way is an OSError."""

    def __init__(self, path: str) -> None:
        self._file = _files().open(path, "rb", block_size=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            read = self._file.read(len(buffer))
        except Exception as error:  # the HTTP library has kinds of its own
            raise OSError(f"{type(error).__name__}: {_way_out(error)}") from error
        buffer[: len(read)] = read
        return len(read)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def stream(path: str) -> BinaryIO:
    """A file to be read once from its start to its end; a line costs one buffer of memory, whatever the file's size."""
    return cast(BinaryIO, io.BufferedReader(_Streamed(path), BUFFER))


def random_access(path: str) -> BinaryIO:
    """A file to be read here and there, as parquet is."""
    return cast(BinaryIO, _files().open(path, "rb"))


def stream_rows(path: str, split: str | None = None) -> Iterable[dict[str, Any]]:
    """The rows of a dataset of the Hub, fetched as they are asked for.

    Args:
        path: `hf://datasets/org/name`, with or without a revision.
        split: which; needed only where there are several.

    Raises:
        InvalidInput: at once: no dataset, or none with files that can be read; no such split, or several.
        ImportError: without datasets.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ImportError("datasets are read by datasets: pip install 'modeling-grm[train]'") from error
    found = resolve(path)
    if found.repo_type != "dataset":
        raise InvalidInput(f"{path}: a {found.repo_type}'s repository; give one of its files, or a dataset")
    with asking(path):
        HfApi().auth_check(found.repo_id, repo_type=found.repo_type)
        splits = load_dataset(f"hf://datasets/{found.repo_id}", revision=found.revision, streaming=True)
    wanted = split or (next(iter(splits)) if len(splits) == 1 else None)
    if wanted not in splits:
        said = "choose one with --split" if split is None else f"{split!r} is none of them"
        raise InvalidInput(f"split: {path} has {', '.join(splits)}; {said}")
    rows: Iterable[dict[str, Any]] = splits[wanted]
    return rows


def check_writable(path: str) -> None:
    """Refuse an address that could not be written, before there is anything to write.

    Raises:
        InvalidInput: no such repository, or no permission to write; no name for a file.
    """
    found = resolve(path)
    if not found.path_in_repo:
        raise InvalidInput(f"{path}: a repository; name the file in it, such as {path.rstrip('/')}/scores.jsonl")
    with asking(path):
        HfApi().auth_check(found.repo_id, repo_type=found.repo_type, write=True)


@contextmanager
def writing(path: str) -> Iterator[TextIO]:
    """A text file that becomes one commit at its end; also where the work ends early, with what there is by then.

    Raises:
        InvalidInput: at once, see `check_writable`; at its end, the Hub does not take it (says where the text lies).
    """
    check_writable(path)
    with tempfile.NamedTemporaryFile("w", suffix=Path(path).suffix, encoding="utf-8", delete=False) as text:
        try:
            yield cast(TextIO, text)
        finally:
            text.close()
            _put(Path(text.name), path)


def _put(text: Path, path: str) -> None:
    try:
        with asking(path):
            _files().put_file(str(text), path)
    except InvalidInput as error:
        raise InvalidInput(f"{error}; what was to be written lies in {text}") from error
    text.unlink()
