"""The head on a frozen backbone: it finds what can be told from the states, and no more."""

from __future__ import annotations

import torch

from modeling_grm.meta_head import fitted_head


def states(seed: int, count: int, scales: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """States of which the second feature says it, with noise; their features are of very different sizes."""
    stream = torch.Generator().manual_seed(seed)
    plain = torch.randn(count, len(scales), generator=stream)
    correct = (plain[:, 1] + 0.5 * torch.randn(count, generator=stream) > 0).float()
    return plain * scales, correct


def test_it_finds_the_feature_that_says_it_whatever_its_size() -> None:
    scales = torch.tensor([300.0, 0.01, 1.0, 5.0])
    fit, held, unseen = (states(seed, 600, scales) for seed in range(3))
    weights = fitted_head(*fit, *held)
    assert (weights.shape, weights.dtype) == ((4,), torch.float32)
    right = ((unseen[0] @ weights > 0) == (unseen[1] > 0)).float().mean()
    assert right > 0.8
    sizes = weights.abs() * scales
    assert sizes[1] > 5 * sizes[[0, 2, 3]].max()


def test_where_nothing_says_it_the_head_stays_small() -> None:
    stream = torch.Generator().manual_seed(9)
    fit, held = (torch.randn(80, 40, generator=stream) for _ in range(2))
    answers = [(torch.rand(80, generator=stream) > 0.5).float() for _ in range(2)]
    weights = fitted_head(fit, answers[0], held, answers[1])
    assert (held @ weights).abs().mean() < 0.5
