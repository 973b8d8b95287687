"""SOAP equals its paper's algorithm, matrix by matrix; averaged weights equal the weighted mean."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulator.towers.optimisers import REFRESH_EVERY, averaged, moments, refresh_eigenbasis, update


def soap_of_the_paper(W, gradients, rate):
    """All iterates of Vyas et al. 2024, Algorithm 3, with Algorithm 4 every REFRESH_EVERY steps,
    for one matrix.
    """
    m, n = W.shape
    L = np.zeros((m, m))
    R = np.zeros((n, n))
    Q_L = np.eye(m)
    Q_R = np.eye(n)
    M = np.zeros((m, n))
    V = np.zeros((m, n))
    beta = 0.95
    for t, G in enumerate(gradients, start=1):
        M = beta * M + (1 - beta) * G
        V = beta * V + (1 - beta) * (Q_L.T @ G @ Q_R) ** 2
        N = (Q_L.T @ M @ Q_R) / (1 - beta**t) / (np.sqrt(V / (1 - beta**t)) + 1e-8)
        W = W - rate * Q_L @ N @ Q_R.T
        L = beta * L + (1 - beta) * G @ G.T
        R = beta * R + (1 - beta) * G.T @ G
        if t % REFRESH_EVERY == 0:
            Q_L = np.linalg.qr(L @ Q_L)[0]
            Q_R = np.linalg.qr(R @ Q_R)[0]
        yield W


def test_soap_equals_the_algorithm_of_its_paper():
    rng = np.random.default_rng(0)
    first = {"layer.weight": rng.normal(size=(2, 5, 3)), "bias": rng.normal(size=(2, 3))}
    steps = [{name: rng.normal(size=p.shape) for name, p in first.items()} for _ in range(35)]
    parameters, *gradients = (
        {name: torch.tensor(x) for name, x in own.items()} for own in (first, *steps)
    )
    own = [[step["layer.weight"][k] for step in (first, *steps)] for k in range(2)]
    theirs = (soap_of_the_paper(matrix, moves, 0.01) for matrix, *moves in own)
    state = moments("soap", parameters)
    rate = torch.tensor(0.01, dtype=torch.float64)
    for t, (g, *matrices) in enumerate(zip(gradients, *theirs, strict=True), start=1):
        parameters, state = update(
            "soap", parameters, g, state, rate, torch.tensor(t).double(), 0.0
        )
        np.testing.assert_allclose(parameters["layer.weight"].numpy(), matrices, rtol=1e-10)
        if t % REFRESH_EVERY == 0:
            state = refresh_eigenbasis(state)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30), st.floats(0.05, 1.0))
def test_an_average_is_the_weighted_mean_of_all_iterates(iterates, share):
    """The explicit weights sum to 1, so there is no initial bias to correct."""
    eta = 1 / share - 1
    weights = np.zeros(len(iterates))
    average = {"p": torch.full((1,), 1e6, dtype=torch.float64)}
    for t, value in enumerate(iterates, start=1):
        weights[:t] *= (t - 1) / (eta + t)
        weights[t - 1] = (eta + 1) / (eta + t)
        average = averaged(
            average, {"p": torch.tensor([value], dtype=torch.float64)}, torch.tensor(t), share
        )
    assert weights.sum() == pytest.approx(1)
    assert average["p"].item() == pytest.approx(weights @ np.array(iterates), abs=1e-9)
