"""A question as a URL parameter and back: `?q=eJyrVkrOzy...`, JSON that is deflated and written in base64url.

What comes back may have been written by anyone: it is read within limits, and then checked as every question is.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any

from asked import Asked, text_of

from modeling_grm import InvalidInput

PARAMETER = "q"
LINK_CHARACTERS = 6_000  # what browsers, proxies and chat programs carry safely
PLAIN_BYTES = 100_000


def pack(asked: Asked) -> str:
    """The parameter's value.

    Raises:
        InvalidInput: it would be too long for a link.
    """
    said = [asked.turns, asked.responses, asked.k, asked.temperature, asked.meta, asked.adaptive]
    plain = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    value = base64.urlsafe_b64encode(zlib.compress(plain, 9)).decode("ascii").rstrip("=")
    if len(value) > LINK_CHARACTERS:
        raise InvalidInput("link: these texts are too long for one; shorten them, or copy the Python code")
    return value


def unpack(value: str) -> Asked:
    """The question in a link.

    Raises:
        InvalidInput: it is no such link, or holds what the demo does not take.
    """
    turns, responses, k, temperature, meta, adaptive = _fields(value)
    lists = isinstance(turns, list) and isinstance(responses, list)
    if not lists or not isinstance(meta, bool) or not isinstance(adaptive, bool):
        raise InvalidInput(_UNREADABLE)
    return Asked(turns, responses, k, temperature, meta, adaptive)


_UNREADABLE = "link: it cannot be read; ask whoever sent it for the whole of it"


def _fields(value: str) -> list[Any]:
    try:
        packed = base64.urlsafe_b64decode(value[:LINK_CHARACTERS] + "=" * (-len(value) % 4))
        whole = zlib.decompressobj()
        said = json.loads(whole.decompress(packed, PLAIN_BYTES))
    except (binascii.Error, zlib.error, ValueError, RecursionError) as error:
        raise InvalidInput(_UNREADABLE) from error
    if not whole.eof or not isinstance(said, list) or len(said) != 6:
        raise InvalidInput(_UNREADABLE)
    return said


def boxes(asked: Asked) -> tuple[str, list[str]]:
    """What stands in the form's boxes for it: the conversation, and the responses."""
    return text_of(asked.turns), asked.responses
