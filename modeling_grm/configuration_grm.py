"""The judge's settings, as they stand in `config.json["grm"]`; the model itself stays a plain causal LM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .types_grm import InvalidInput

TRUNCATION = (None, "middle")
CONSTRAIN = (None, "scores")


def _require(ok: bool, name: str, value: object, way_out: str) -> None:
    if not ok:
        raise InvalidInput(f"{name}: {value!r} is not usable; {way_out}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class GRMConfig:
    """How a checkpoint judges unless the caller says otherwise.

    Attributes:
        template: name in `prompts_grm.TEMPLATES`, or the whole text of a custom one.
        k: samples a request (paper: 1..32).
        k_meta: how many samples the meta RM lets vote; None means k // 2 when there is a meta RM.
        temperature: 0 is greedy; the paper samples at 0.5 (section 4.1).
        top_p: nucleus mass of each sampled token, (0, 1].
        top_k: how many of the likeliest tokens each is sampled from; 0 means all.
        max_new_tokens: budget of one judgement.
        quorum: least share of the k samples that must be OK, (0, 1]; at least one always must.
        truncation: None refuses a prompt that does not fit; "middle" cuts the longest texts in their middle.
        constrain: None takes what is written; "scores" lets a judgement without a readable scores line write one more
            line, in which only scores can stand.
        meta_rm: Hub id or folder of the meta RM that guides the vote.
        base: what the checkpoint was made from; results name it.
    """

    template: str = "deepseek-grm"
    k: int = 8
    k_meta: int | None = None
    temperature: float = 0.5
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 1024
    quorum: float = 0.5
    truncation: str | None = None
    constrain: str | None = None
    meta_rm: str | None = None
    base: str | None = None

    def __post_init__(self) -> None:
        _require(isinstance(self.template, str) and bool(self.template), "template", self.template, "give a name")
        _require(_is_int(self.k) and self.k >= 1, "k", self.k, "give a whole number of samples, at least 1")
        _require(
            self.k_meta is None or (_is_int(self.k_meta) and 1 <= self.k_meta <= self.k),
            "k_meta",
            self.k_meta,
            f"give a whole number between 1 and k = {self.k}",
        )
        _require(
            isinstance(self.temperature, (int, float)) and 0 <= self.temperature < float("inf"),
            "temperature",
            self.temperature,
            "give 0 (greedy) or a positive number",
        )
        _require(
            isinstance(self.top_p, (int, float)) and 0 < self.top_p <= 1, "top_p", self.top_p, "give a number in (0, 1]"
        )
        _require(
            _is_int(self.top_k) and self.top_k >= 0, "top_k", self.top_k, "give a whole number; 0 means all tokens"
        )
        _require(
            _is_int(self.max_new_tokens) and self.max_new_tokens >= 1,
            "max_new_tokens",
            self.max_new_tokens,
            "give a whole number, at least 1",
        )
        _require(
            isinstance(self.quorum, (int, float)) and 0 < self.quorum <= 1,
            "quorum",
            self.quorum,
            "give a share in (0, 1]",
        )
        _require(self.truncation in TRUNCATION, "truncation", self.truncation, 'give None or "middle"')
        _require(self.constrain in CONSTRAIN, "constrain", self.constrain, 'give None or "scores"')

    def override(self, **settings: Any) -> GRMConfig:
        """The same settings with those given (None means: as it was) put in their place."""
        return replace(self, **{name: value for name, value in settings.items() if value is not None})

    def to_dict(self) -> dict[str, Any]:
        """What goes into `config.json["grm"]`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any] | None) -> GRMConfig:
        """Read `config.json["grm"]`; unknown keys are refused by name, so that a misspelt one cannot be ignored."""
        stored = dict(stored or {})
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(stored) - known)
        if unknown:
            raise InvalidInput(f'config.json["grm"]: unknown {unknown}; known are {sorted(known)}')
        return cls(**stored)
