"""What can go wrong between a client and the Hub, by script: wrong answers, slow ones, cut ones, damaged ones.

hub.faults.next(status=429, headers={"Retry-After": "0"}, path="/resolve/")
hub.faults.next(cut=1000, method="GET", path="model.safetensors")
hub.faults.next(status=400, method="PUT", skip=1)            # the second large file of an upload
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.responses import JSONResponse

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class HungUp(Exception):
    """The connection ends here, whatever was promised."""


@dataclass(frozen=True)
class Fault:
    """What becomes of a request that it fits.

    Args:
        status: this answer instead of the Hub's.
        headers: of that answer.
        delay: seconds before anything is said.
        cut: hang up behind that many bytes of the body; 0 before the Hub has seen the request.
        corrupt: another byte in the middle of the body.
        shorten: so many bytes are missing at the end, and the answer is whole for all that.
        method, path: which requests it fits: the method, and a part of the path; all if empty.
        skip: so many that would fit pass first.
        times: so many are met.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None
    corrupt: bool = False
    shorten: int = 0
    method: str = ""
    path: str = ""
    skip: int = 0
    times: int = 1

    def fits(self, method: str, path: str) -> bool:
        """Whether it is about such a request."""
        return self.method in ("", method) and self.path in path


class Faults:
    """The script: the first fault that fits a request meets it, until its times are over."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def next(self, **fault: Any) -> None:
        """Add a `Fault` behind those that wait."""
        with self._lock:
            self._waiting.append(Fault(**fault))

    def clear(self) -> None:
        """Forget what has not happened yet."""
        with self._lock:
            self._waiting.clear()

    def meeting(self, method: str, path: str) -> Fault | None:
        """The fault of this request, and one time less of it."""
        with self._lock:
            for at, fault in enumerate(self._waiting):
                if fault.fits(method, path):
                    return self._met(at, fault)
        return None

    def _met(self, at: int, fault: Fault) -> Fault | None:
        if fault.skip:
            self._waiting[at] = replace(fault, skip=fault.skip - 1)
            return None
        self._waiting[at : at + 1] = [replace(fault, times=fault.times - 1)] * (fault.times > 1)
        return fault

    def around(self, app: App) -> App:
        """The ASGI application with these faults in front of it."""

        async def faulty(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            fault = self.meeting(scope["method"], scope["path"]) if scope["type"] == "http" else None
            if fault is None:
                return await app(scope, receive, send)
            await asyncio.sleep(fault.delay)
            if fault.cut == 0:
                await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"1")]})
                raise HungUp
            if fault.status is not None:
                answer: Any = JSONResponse({"error": "scripted"}, fault.status, headers=fault.headers)
                return await answer(scope, receive, send)
            return await app(scope, receive, _damaging(send, fault))

        return faulty


def _damaging(send: Send, fault: Fault) -> Send:
    """Sends a whole body with the fault in it; bodies of this Hub come in one piece."""

    async def damaged(message: Message) -> None:
        if message["type"] == "http.response.start" and fault.shorten:
            message = message | {"headers": [_shortened(header, fault.shorten) for header in message["headers"]]}
        if message["type"] == "http.response.body" and message.get("body"):
            message = message | {"body": _spoilt(message["body"], fault), "more_body": fault.cut is not None}
        await send(message)
        if message["type"] == "http.response.body" and fault.cut is not None:
            raise HungUp

    return damaged


def _shortened(header: tuple[bytes, bytes], missing: int) -> tuple[bytes, bytes]:
    name, value = header
    return (name, b"%d" % (int(value) - missing)) if name == b"content-length" else header


def _spoilt(body: bytes, fault: Fault) -> bytes:
    if fault.corrupt:
        middle = len(body) // 2
        body = body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]
    return body[: len(body) - fault.shorten][: fault.cut]
