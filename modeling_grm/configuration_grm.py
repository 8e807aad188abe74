"""The judge's settings, as they stand in `config.json["grm"]`; the model itself stays a plain causal LM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .types_grm import InvalidInput

TRUNCATION = (None, "middle")
AUTO = "auto"
CONSTRAIN = (None, "scores")
FREE = "none"
"""`constrain` of a caller who wants none where the checkpoint has one; it is kept as None."""


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
        k: samples a request (paper: 1..32); "auto" draws whole rotations until the vote is safe (`stopping_grm`).
        k_max: most samples of a request with k = "auto".
        delta: with k = "auto", the accepted share of votes that differ from the one over all samples, (0, 1).
        rule: a name in `rules_grm.RULES`; None means the sum, of the k_meta best where a meta RM chooses.
        k_meta: how many samples the meta RM lets vote; None means k // 2 when there is a meta RM.
        temperature: 0 is greedy; the paper samples at 0.5 (section 4.1).
        top_p: nucleus mass of each sampled token, (0, 1].
        top_k: how many of the likeliest tokens each is sampled from; 0 means all.
        max_new_tokens: budget of one judgement.
        quorum: least share of the k samples that must be OK, (0, 1]; at least one always must.
        truncation: None refuses a prompt that does not fit; "middle" cuts the longest texts in their middle.
        constrain: None takes what is written; "scores" lets a judgement without a readable scores line write one more
            line, in which only scores can stand. "none" is None where a checkpoint has the other.
        stopping: thresholds for k = "auto" (`stopping_grm.Thresholds.to_dict()`, fitted by `grm calibrate`).
        confidence: the map from raw confidence to a probability (fitted by `grm calibrate`).
        min_confidence: least probability, by that map, that `best` is right; below it the vote abstains.
        meta_rm: Hub id or folder of the meta RM that guides the vote; "self": the judge's own first reading.
        base: what the checkpoint was made from; results name it.
    """

    template: str = "deepseek-grm"
    k: int | str = 8
    k_max: int = 32
    delta: float = 0.05
    rule: str | None = None
    k_meta: int | None = None
    temperature: float = 0.5
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 1024
    quorum: float = 0.5
    truncation: str | None = None
    constrain: str | None = None
    stopping: dict[str, Any] | None = None
    confidence: dict[str, Any] | None = None
    min_confidence: float | None = None
    meta_rm: str | None = None
    base: str | None = None

    def __post_init__(self) -> None:
        _require(isinstance(self.template, str) and bool(self.template), "template", self.template, "give a name")
        whole = isinstance(self.k, int) and not isinstance(self.k, bool) and self.k >= 1
        _require(whole or self.k == AUTO, "k", self.k, f'give a whole number of samples, at least 1, or "{AUTO}"')
        _require(_is_int(self.k_max) and self.k_max >= 1, "k_max", self.k_max, "give a whole number, at least 1")
        _require(
            isinstance(self.delta, (int, float)) and 0 < self.delta < 1, "delta", self.delta, "give a number in (0, 1)"
        )
        _require(
            self.k_meta is None or (_is_int(self.k_meta) and 1 <= self.k_meta <= self.most),
            "k_meta",
            self.k_meta,
            f"give a whole number between 1 and k = {self.most}",
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
        _require(
            self.min_confidence is None or (self._is_share(self.min_confidence) and self.confidence is not None),
            "min_confidence",
            self.min_confidence,
            "give a probability in [0, 1], with a judge whose confidence is calibrated (`grm calibrate`)",
        )
        if self.constrain == FREE:
            object.__setattr__(self, "constrain", None)
        _require(self.constrain in CONSTRAIN, "constrain", self.constrain, f'give "{FREE}" or "scores"')

    @staticmethod
    def _is_share(value: object) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1

    @property
    def most(self) -> int:
        """The most samples that a request gets: k, or k_max with k = "auto"."""
        return self.k if isinstance(self.k, int) else self.k_max

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
