"""A card as text: the Hub's metadata as YAML, then a Jinja template, in which what is undefined is an error."""

from __future__ import annotations

import json
import re
from typing import Any

from .facts import Card, MissingField

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError
except ImportError as error:
    raise ImportError("cards are made by jinja2: pip install 'modeling-grm[hub]'") from error

_GAPS = re.compile(r"\n{3,}")
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _cell(value: Any) -> str:
    """Text that stays in its cell of a table, whatever it holds."""
    text = "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("hub_cards"),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"cell": _cell, "number": _number}
    return made


def render(card: Card) -> str:
    """The whole README.md.

    Raises:
        MissingField: the template asks for what the card does not have.
    """
    try:
        body = _environment().get_template(card.template).render(card=card)
    except UndefinedError as error:
        raise MissingField(f"card: {error}") from error
    text = _GAPS.sub("\n\n", body.strip())
    return f"---\n{card.metadata().to_yaml()}\n---\n\n{text}\n"


def python_blocks(text: str) -> list[str]:
    """The code of a card's Python blocks."""
    return _BLOCK.findall(text)
