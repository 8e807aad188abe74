"""Who asks, and what they may do: tokens, namespaces, private and gated repositories.

As on the Hub, a repository that one may not see and one that is not there get the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from .refusals import Refusal
from .storage import Repo


@dataclass(frozen=True)
class Account:
    """Who a token stands for; `role` is what the token may do: read or write."""

    name: str
    role: str
    organisations: tuple[str, ...] = ()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Where it may see private repositories and, with a writing token, make some."""
        return (self.name, *self.organisations)


TOKENS = {
    "hf_writer": Account("me", "write", ("org",)),
    "hf_reader": Account("me", "read", ("org",)),
    "hf_stranger": Account("stranger", "write"),
}


def account_of(authorization: str | None) -> Account | None:
    """Who a request's header says asks; None where nobody says.

    Raises:
        Refusal: an unknown token.
    """
    if authorization is None:
        return None
    token = authorization.removeprefix("Bearer ")
    if token not in TOKENS:
        raise Refusal("InvalidToken", "Invalid credentials in Authorization header")
    return TOKENS[token]


def _not_found(account: Account | None) -> Refusal:
    return Refusal("RepoNotFound", "Repository not found", status=404 if account else 401)


def check_named(account: Account | None, repo: Repo | None) -> Repo:
    """The repository, where it is there and this account may know of it.

    Raises:
        Refusal: not so.
    """
    if repo is None or (repo.private and (account is None or repo.namespace not in account.namespaces)):
        raise _not_found(account)
    return repo


def check_files(account: Account | None, repo: Repo) -> None:
    """Refuse the files of a gated repository to those who have no access.

    Raises:
        Refusal: GatedRepo.
    """
    if not repo.gated or (account and (repo.namespace in account.namespaces or account.name in repo.granted)):
        return
    message = f"Access to {repo.kind} {repo.name} is restricted. You must have access to it and be authenticated."
    raise Refusal("GatedRepo", message, status=403 if account else 401)


def check_write(account: Account | None, namespace: str) -> None:
    """Refuse what this account may not change.

    Raises:
        Refusal: no token, one that only reads, or somebody else's namespace.
    """
    if account is None:
        raise Refusal("InvalidToken", "Invalid username or password.")
    if account.role != "write":
        raise Refusal("Forbidden", f"This token has no write permission: role is {account.role}", status=403)
    if namespace not in account.namespaces:
        raise Refusal("Forbidden", f"You don't have the rights to write under the namespace {namespace!r}", status=403)
