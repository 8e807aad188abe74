"""Stops a reinforcement run that has collapsed, and says what went wrong and what to do.

    GRPOTrainer(..., callbacks=[CollapseGuard(patience=20)])

A sign of collapse (`SIGNS`) must stand in that many logs one after another. Checkpoints stay; the message says at which
step it began. Knows nothing about how the figures are made.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from transformers import TrainerCallback

WAY_OUT = "raise beta (the KL term), lower learning_rate, or start from a judge that is right more often"


class Sign(NamedTuple):
    """A logged figure on the wrong side of its bound."""

    metric: str
    bound: float
    above: bool
    meaning: str

    def shows(self, logs: dict[str, Any]) -> bool:
        """Whether this log has it."""
        value = logs.get(self.metric)
        return value is not None and (float(value) > self.bound if self.above else float(value) < self.bound)


SIGNS = (
    Sign("parse_rate", 0.5, False, "most judgements cannot be read"),
    Sign("tie_rate", 0.9, True, "nearly all judgements tie"),
    Sign("first_wins_rate", 0.95, True, "the response shown first wins, whatever it is"),
    Sign("frac_reward_zero_std", 0.999, True, "no group has two different rewards, so there is nothing to learn from"),
)


class Collapsed(RuntimeError):
    """A run that was stopped; the message names the figure, since when, and the way out."""


class CollapseGuard(TrainerCallback):
    """Ends training once a sign stood in `patience` logs in a row.

    Args:
        patience: logs, not steps.
    """

    def __init__(self, patience: int = 20) -> None:
        self.patience = patience
        self.since: dict[str, list[int]] = {}
        self.found: str | None = None

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Look at a log; evaluations and the final summary have none of the figures."""
        for sign in SIGNS:
            if sign.metric not in (logs or {}):
                continue
            steps = self.since.get(sign.metric, []) if sign.shows(logs or {}) else None
            self.since[sign.metric] = [] if steps is None else [*steps, state.global_step]
            if len(self.since[sign.metric]) >= self.patience and self.found is None:
                control.should_training_stop = True
                self.found = self._said(sign, float((logs or {})[sign.metric]), args.output_dir)

    def _said(self, sign: Sign, value: float, folder: str) -> str:
        side, first = "above" if sign.above else "below", self.since[sign.metric][0]
        return (
            f"collapse: {sign.metric} is {value:.3g}, {side} {sign.bound:g}, in every log since step {first}: "
            f"{sign.meaning}; {WAY_OUT}, and go on from a checkpoint of {folder} before that step"
        )

    def check(self) -> None:
        """After training.

        Raises:
            Collapsed: it was stopped by a sign.
        """
        if self.found is not None:
            raise Collapsed(self.found)
