"""The collapse guard: a sign must stand in every log for as long as the patience, and its message helps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from modeling_grm.collapse import SIGNS, Collapsed, CollapseGuard


def watch(guard: CollapseGuard, logs: list[dict[str, Any]]) -> int | None:
    """The step at which training was stopped."""
    control = SimpleNamespace(should_training_stop=False)
    for step, log in enumerate(logs, 1):
        guard.on_log(SimpleNamespace(output_dir="runs/x"), SimpleNamespace(global_step=step), control, logs=log)
        if control.should_training_stop:
            return step
    return None


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.metric)
def test_each_sign_stops_the_run_once_it_stood_long_enough(sign):
    bad = sign.bound + (0.0005 if sign.above else -0.1)
    guard = CollapseGuard(patience=3)
    assert watch(guard, [{sign.metric: bad}] * 5) == 3
    with pytest.raises(Collapsed, match=f"collapse: {sign.metric} .* since step 1: .*beta.*runs/x"):
        guard.check()


def test_one_good_log_starts_the_count_anew():
    guard = CollapseGuard(patience=3)
    assert watch(guard, [{"parse_rate": rate} for rate in (0.1, 0.1, 0.9, 0.1, 0.1)]) is None
    guard.check()


def test_logs_without_the_figures_neither_count_nor_forgive():
    guard = CollapseGuard(patience=2)
    assert watch(guard, [{"parse_rate": 0.1}, {"eval_loss": 1.0}, {"parse_rate": 0.1}]) == 3
