"""Why the Hub says no: one exception, with the status and the code that the client turns into an error of its own."""

from __future__ import annotations

STATUS = {
    "BadRequest": 400,
    "InvalidToken": 401,
    "GatedRepo": 403,
    "Forbidden": 403,
    "RepoNotFound": 404,
    "RevisionNotFound": 404,
    "EntryNotFound": 404,
    "Conflict": 409,
    "CommitConflict": 412,
    "BadRange": 416,
}
"""Code -> status; the client knows those that end in NotFound, and GatedRepo."""


class Refusal(Exception):
    """An answer that is an error.

    Args:
        code: a key of `STATUS`.
        message: for people.
        status: in place of the code's own.
        headers: of the answer.
        body: more of the answer's JSON.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        body: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.status = status or STATUS[code]
        self.headers, self.body = headers or {}, body or {}
