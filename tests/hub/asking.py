"""One request, understood: who asks, about which repository and revision, and whether that is allowed.

Knows Starlette's request and the Hub's paths; nothing about answers.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request

from .accounts import Account, account_of, check_files, check_named, check_write
from .refusals import Refusal
from .storage import Commit, Repo, Storage

KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
SLASH = "\x1f"  # stands for a slash inside a revision, which the client writes as %2F


class Revision(Convertor[str]):
    """A branch, tag or hash as one part of a path."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        """As it was before it was quoted."""
        return value.replace(SLASH, "/")

    def to_string(self, value: str) -> str:
        """As a part of a path."""
        return value.replace("/", SLASH)


register_url_convertor("revision", Revision())


def storage(request: Request) -> Storage:
    """All that the Hub holds."""
    held: Storage = request.app.state.storage
    return held


def account(request: Request) -> Account | None:
    """Who asks.

    Raises:
        Refusal: the token is unknown.
    """
    return account_of(request.headers.get("authorization"))


def kind(request: Request) -> str:
    """The type of repository that the path is about; a file's address without one is a model's.

    Raises:
        Refusal: there is no such type.
    """
    named = request.path_params.get("kinds", "models")
    if named not in KINDS:
        raise Refusal("RepoNotFound", f"no such type of repository: {named}")
    return KINDS[named]


def repo(request: Request) -> Repo:
    """The repository in the path, to look at.

    Raises:
        Refusal: it is not there, or not for this account.
    """
    name = f"{request.path_params['namespace']}/{request.path_params['name']}"
    return check_named(account(request), storage(request).repos.get((kind(request), name)))


def files_of(request: Request) -> Repo:
    """The repository in the path, to read its files.

    Raises:
        Refusal: as `repo`, or it is gated.
    """
    found = repo(request)
    check_files(account(request), found)
    return found


def own_repo(request: Request) -> Repo:
    """The repository in the path, to change it.

    Raises:
        Refusal: as `repo`, or this account may not write.
    """
    found = repo(request)
    check_write(account(request), found.namespace)
    return found


def commit(request: Request, found: Repo) -> Commit:
    """The commit that the path names, `main` where it names none.

    Raises:
        Refusal: there is none.
    """
    return found.commit(request.path_params.get("revision", "main"))


async def said(request: Request) -> dict[str, Any]:
    """The request's fields: JSON, or a form (then every value is a list)."""
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qs(body.decode()))
    fields: dict[str, Any] = json.loads(body or b"{}")
    return fields


def is_true(value: object) -> bool:
    """What clients write for true."""
    return str(value[0] if isinstance(value, list) else value).lower() in ("true", "1")


def url(request: Request, found: Repo, *rest: str) -> str:
    """The repository's page, or one under it."""
    prefix = () if found.kind == "model" else (f"{found.kind}s",)
    return "/".join((str(request.base_url).rstrip("/"), *prefix, found.name, *rest))
