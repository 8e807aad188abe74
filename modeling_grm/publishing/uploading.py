"""A checked folder becomes one commit on the Hub; what is refused is refused with its reason and the way out.

Large files go up first, by their hash; then one commit names them all, so that a repository is never half new. Where an
upload was cut off, the same command goes on: files that the Hub has are not sent again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError

from ..types_grm import InvalidInput
from .repository import VERSION, Repo

TYPES = ("model", "dataset", "space")
NO_WRITING = "give a token with write access to it (https://huggingface.co/settings/tokens), or another --repo"

REFUSALS = {
    401: "token: the Hub does not know it; log in with `hf auth login`, or set HF_TOKEN ({reason})",
    403: f"repo: {{repo}} may not be written; {NO_WRITING} ({{reason}})",
}
UNFINISHED = "upload: {repo} was not finished ({reason}); run the same command again, it goes on where it was"


@contextmanager
def _explained(repo_id: str) -> Iterator[None]:
    """The Hub's refusals in this project's words.

    Raises:
        InvalidInput: in their place; what it said stands at the end.
    """
    try:
        yield
    except InvalidInput:
        raise
    except HfHubHTTPError as error:
        status = error.response.status_code
        reason = " ".join(str(error.server_message or error).split())
        raise InvalidInput(REFUSALS.get(status, UNFINISHED).format(repo=repo_id, reason=reason)) from error
    except (HTTPError, RuntimeError, ConnectionError) as error:  # the connection; a large file; offline mode
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InvalidInput(UNFINISHED.format(repo=repo_id, reason=reason)) from error
    except ValueError as error:
        raise InvalidInput(f"card: the Hub does not take it: {error}") from error


def permitted(repo_id: str, repo_type: str, api: HfApi) -> None:
    """Refuse what cannot be uploaded, before anything is made.

    Raises:
        InvalidInput: no token, one that cannot write, or a repository of that name that is of another type.
    """
    if api.token is None:
        raise InvalidInput("token: there is none; log in with `hf auth login`, or set HF_TOKEN")
    with _explained(repo_id):
        role = api.whoami().get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise InvalidInput(f"repo: {repo_id} may not be written; {NO_WRITING} (the token is read-only)")
        there = [other for other in TYPES if other != repo_type and api.repo_exists(repo_id, repo_type=other)]
    if there:
        raise InvalidInput(f"repo: {repo_id} exists already as a {there[0]}; give another name for the {repo_type}")


def upload(repo: Repo, api: HfApi, private: bool | None = None) -> str:
    """Create the repository where it is missing, and make it what the folder is; returns the commit's address.

    Raises:
        InvalidInput: the Hub refuses, or the upload was cut off; then the same call goes on.
    """
    with _explained(repo.id):
        api.create_repo(repo.id, repo_type=repo.type, private=private, exist_ok=True, **repo.creation)
        files = repo.files()
        adds = [CommitOperationAdd(name, str(path)) for name, path in files.items()]
        old = [name for name in api.list_repo_files(repo.id, repo_type=repo.type) if _replaced(name, repo, set(files))]
        gone = [CommitOperationDelete(name) for name in old]
        message = f"Publish with modeling-grm {VERSION}"
        done = api.create_commit(repo.id, [*gone, *adds], commit_message=message, repo_type=repo.type)
    return str(done.commit_url)


def _replaced(name: str, repo: Repo, new: set[str]) -> bool:
    ours = (fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in repo.replaces)
    return name not in new and any(ours)


def client() -> HfApi:
    """The Hub's client with the caller's own token, None where there is none."""
    from huggingface_hub import get_token

    return HfApi(token=get_token())
