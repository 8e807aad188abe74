"""A real chat server on the loopback interface with scripted faults: `ChatServer(lambda asked, number: Reply())`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

GOOD = "Analysis: both are short.\nScores: \\boxed{8, 3}\n"


@dataclass(frozen=True)
class Reply:
    """What the server does with one request: wait, then answer, say nothing at all, or hang up."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hangs: bool = False
    drops: bool = False


@dataclass(frozen=True)
class Asked:
    """A request as it came: its JSON, headers (lower case) and path."""

    json: dict[str, Any]
    headers: dict[str, str]
    path: str


def choice(text: Any = GOOD, finish: str = "stop", **more: Any) -> dict[str, Any]:
    """One choice of an answer."""
    return {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish, **more}


def said(*texts: Any, finish: str = "stop", prompt: int = 20, written: int = 0, **reply: Any) -> Reply:
    """An answer with these texts as its choices."""
    usage = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
    return Reply({"choices": [choice(text, finish) for text in texts], "usage": usage}, **reply)


def obedient(asked: Asked, _: int = 0) -> Reply:
    """As many good answers as were asked for."""
    return said(*[GOOD] * asked.json.get("n", 1), written=12 * asked.json.get("n", 1))


class ChatServer:
    """`with ChatServer(script) as server:` answers POSTs at `server.url`; `asked` holds them in order of arrival.

    `script(asked, number)` says what becomes of request `number`, counted from 0. `most_in_flight` is the largest
    number of requests that were open at once.
    """

    def __init__(self, script: Callable[[Asked, int], Reply] = obedient) -> None:
        self.script = script
        self.in_flight = self.most_in_flight = 0
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        self.asked: list[Asked] = []

    def __enter__(self) -> ChatServer:
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def take(self, asked: Asked) -> Reply:
        with self.lock:
            number = len(self.asked)
            self.asked.append(asked)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            reply = self.script(asked, number)
            self.closing.wait(3600 if reply.hangs else reply.delay) if reply.hangs or reply.delay else None
            return reply
        finally:
            with self.lock:
                self.in_flight -= 1


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Clients that go away are what is tested."""


def _handler(chat: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = chat.take(Asked(json.loads(body), headers, self.path))
            if reply.hangs or reply.drops:
                self.close_connection = True
                return
            told = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"content-type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)
            self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Handler
