"""A meta RM's head on a frozen backbone: logistic regression from pooled states to "this judgement is correct".

    weights = fitted_head(pooled, correct, held_pooled, held_correct)   # (width,), for Linear(width, 1, bias=False)

Where a new head is trained together with its backbone, its noise distorts what the backbone knows; fitted first, it
does not (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution").
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""On half the squared norm of the weights, of states with mean square 1; the one with the least held loss is taken."""


def fitted_head(states: Any, correct: Any, held: Any, held_correct: Any) -> Any:
    """The head's weights.

    Args:
        states, correct: (judgements, width) pooled states and (judgements,) 0 or 1, to fit.
        held, held_correct: the same of other items, to choose the penalty.

    Returns:
        (width,) float32.
    """
    scale = states.double().square().mean(0).sqrt().clamp(min=1e-6)
    inputs, targets = (states / scale).double(), correct.double()
    fitted = [_logistic(inputs, targets, penalty) / scale for penalty in PENALTIES]
    return min(fitted, key=lambda weights: _loss(held.double() @ weights, held_correct)).float()


def _loss(logits: Any, correct: Any) -> float:
    return float(functional.binary_cross_entropy_with_logits(logits, correct.double()))


def _logistic(states: Any, correct: Any, penalty: float) -> Any:
    """The least penalised cross-entropy's weights (convex, so there is one)."""
    weights = torch.zeros(states.shape[1], dtype=torch.double, requires_grad=True)
    steps = torch.optim.LBFGS([weights], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Any:
        steps.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(states @ weights, correct)
        loss = loss + penalty / 2 * weights.square().sum()
        loss.backward()
        return loss

    steps.step(closure)
    return weights.detach()
