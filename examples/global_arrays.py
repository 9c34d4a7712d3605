"""Weights, data and gradients in global variables, as in scripts and notebooks: an Elman network and a softmax.

One sequence at a time, column vectors. Form: ``Subject.from_value_and_gradient``, around a function that sets the
globals, runs, and reads them.
"""

import numpy as np

from bptt_check import Subject

Wxh = Whh = Why = bh = by = hprev = inputs = targets = None
dWxh = dWhh = dWhy = dbh = dby = dhprev = None  # noqa: N816


def initialise(D, H, T, rng):
    global Wxh, Whh, Why, bh, by, hprev, inputs, targets
    Wxh, Whh, Why = rng.normal(size=(H, D)), rng.normal(size=(H, H)), rng.normal(size=(D, H))
    bh, by, hprev = rng.normal(size=(H, 1)), rng.normal(size=(D, 1)), rng.normal(size=(H, 1))
    inputs = rng.integers(D, size=T)
    targets = rng.integers(D, size=T)


def loss_function():
    """Cross-entropy of the whole sequence; the gradients are in dWxh, dWhh, dWhy, dbh, dby, dhprev afterwards."""
    global dWxh, dWhh, dWhy, dbh, dby, dhprev
    xs, hs, ps = {}, {-1: hprev}, {}
    loss = 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((Wxh.shape[1], 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1] + bh)
        ps[t] = np.exp(Why @ hs[t] + by)
        ps[t] = ps[t] / ps[t].sum()
        loss += -np.log(ps[t][targets[t], 0])
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby, dhnext = np.zeros_like(bh), np.zeros_like(by), np.zeros_like(hprev)
    for t in reversed(range(len(inputs))):
        dy = ps[t].copy()
        dy[targets[t]] -= 1
        dWhy += dy @ hs[t].T
        dby += dy
        dh = Why.T @ dy + dhnext
        dz = (1 - hs[t] ** 2) * dh
        dbh += dz
        dWxh += dz @ xs[t].T
        dWhh += dz @ hs[t - 1].T
        dhnext = Whh.T @ dz
    dhprev = dhnext
    return loss


def loss_and_gradient(p):
    globals().update(p)
    loss = loss_function()
    return loss, {name: globals()[f"d{name}"] for name in p}


def subject(T=5, B=3, D=4, H=2, rng=0):
    """B is not used: the code takes one sequence."""
    initialise(D, H, T, np.random.default_rng(rng))
    point = {name: globals()[name] for name in ("Wxh", "Whh", "Why", "bh", "by", "hprev")}
    return Subject.from_value_and_gradient(loss_and_gradient, point, name="global arrays")
