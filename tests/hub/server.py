"""The Hub as a process can meet it: an ASGI application, and a thread that serves it on the loopback interface."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import files, repos
from .asking import SLASH
from .faults import App, Faults, Message, Receive, Send
from .refusals import Refusal
from .storage import Storage

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class Asked:
    """A request that was made: method, path, the range it wanted, and the status that it got."""

    method: str
    path: str
    range: str
    status: int


def application(storage: Storage, page: int = 1000) -> Starlette:
    """The Hub's API over this storage; trees are listed `page` entries at a time."""
    app = Starlette(routes=[*repos.ROUTES, *files.ROUTES], exception_handlers={Refusal: refused, 404: nothing_here})
    app.state.storage, app.state.page = storage, page
    return app


def refused(request: Request, refusal: Exception) -> Response:
    """A refusal as the client reads it."""
    assert isinstance(refusal, Refusal)
    headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message, **refusal.headers}
    return JSONResponse({"error": refusal.message, **refusal.body}, refusal.status, headers=headers)


def nothing_here(request: Request, error: Exception) -> Response:
    """A path that this Hub does not know; for a client a repository that is not there."""
    return refused(request, Refusal("RepoNotFound", f"nothing answers {request.method} {request.url.path}"))


def with_quoted_slashes(app: App) -> App:
    """Keeps a slash inside a revision (`refs%2Fpr%2F1`) apart from those of the path."""

    async def quoted(scope: Any, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path", b"").decode("ascii").split("?")[0]
        await app(scope | {"path": unquote(raw.replace("%2F", SLASH))}, receive, send)

    return quoted


def with_log(app: App, log: list[Asked]) -> App:
    """Notes every request as it is answered."""

    async def logged(scope: Any, receive: Receive, send: Send) -> None:
        wanted = dict(scope["headers"]).get(b"range", b"").decode()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                log.append(Asked(scope["method"], unquote(scope["path"]), wanted, message["status"]))
            await send(message)

        await app(scope, receive, noted)

    return logged


class LocalHub:
    """A Hub of its own, empty at first; a context manager that serves it.

    Args:
        page: entries of a page, where trees are listed.

    Attributes:
        url: for `HF_ENDPOINT`.
        token: of the user `me`, who may write under `me` and `org`.
        read_token: of the same user, without permission to write.
        stranger_token: of `stranger`, who may write under that name only.
        storage: what it holds.
        faults: what the next requests meet (`Faults.next`).
        log: every request that was answered.
    """

    token, read_token, stranger_token = "hf_writer", "hf_reader", "hf_stranger"

    def __init__(self, page: int = 1000) -> None:
        self.storage, self.faults, self.log = Storage(), Faults(), list[Asked]()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app: Any = with_quoted_slashes(application(self.storage, page))  # type: ignore[arg-type]
        app = with_log(self.faults.around(app), self.log)
        quiet: dict[str, Any] = {"log_config": None, "log_level": "critical", "access_log": False}
        config = uvicorn.Config(
            app, **quiet, http="h11", loop="asyncio", lifespan="off", ws="none", timeout_keep_alive=60
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> LocalHub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()

    def environment(self, home: Path, token: str | None = token) -> dict[str, str]:
        """A whole environment for a process that shall use this Hub and no other: ours, with `settings` in it."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
        return mine | self.settings(home, token)

    def settings(self, home: Path, token: str | None = token) -> dict[str, str]:
        """The client's variables: this Hub, a home for its caches, and a token (none: nobody in particular)."""
        said = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        said |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0"}
        return said | ({"HF_TOKEN": token} if token else {})

    def api(self, token: str | bool | None = token) -> HfApi:
        """The real client; `False` asks as nobody."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.url, token=token)

    def files(self, repo_id: str, repo_type: str = "model", revision: str = "main") -> Mapping[str, bytes]:
        """What a repository holds, by path."""
        found = self.storage.find(repo_type, repo_id).commit(revision).files
        return {path: file.content for path, file in sorted(found.items())}

    def count(self, method: str, part: str) -> int:
        """How many requests with this method, and this in their path, were answered with success."""
        return sum(one.method == method and part in one.path and one.status < 400 for one in self.log)
