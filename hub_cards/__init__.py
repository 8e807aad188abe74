"""Cards for what is published on the Hub: facts in, the text of a README.md out.

    card = GRMCard(repo_id="org/my-grm", title="My GRM", licence="apache-2.0", language=("en",), ...)
    render(card) -> "---\nlicense: apache-2.0\n...---\n\n# My GRM\n..."

Every number on a card comes from a report and carries its interval; a field that is missing is an error that names it.
Knows nothing about weights, uploads or the network. Needs jinja2.
"""

from __future__ import annotations

from .facts import (
    CARDS,
    Card,
    CodeCard,
    Count,
    Figure,
    GRMCard,
    Measured,
    MetaRMCard,
    MissingField,
    PreferencesCard,
    SpaceCard,
    TrajectoriesCard,
    from_mapping,
)
from .rendering import python_blocks, render

__all__ = [
    "CARDS",
    "Card",
    "CodeCard",
    "Count",
    "Figure",
    "GRMCard",
    "Measured",
    "MetaRMCard",
    "MissingField",
    "PreferencesCard",
    "SpaceCard",
    "TrajectoriesCard",
    "from_mapping",
    "python_blocks",
    "render",
]
