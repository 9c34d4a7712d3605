"""The segmented form: every ∂L/∂z_k(t) measured by moving it, and from those all weights by their sums over time.

A weight acts through the pre-activations alone, so that dW_k = Σ_t dz_k(t)ᵀ x_c(t). Moving the T·B·H entries of each
z_k in place of all weights takes far fewer copies, and each starts at its own step; what is left are products that need
no copy at all. Those sums, B5, B6, B5p, and B7 for the input, are **taken for granted** here: a mistake in them would
stand in both places. It is a witness of all that comes before them, never of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bptt_check.lstm.copies import CHUNK_BYTES, OnSteps, Setting, losses, untold
from bptt_check.lstm.forward import over_time
from bptt_check.lstm.imaginary import complex_losses, trace_of

Array = np.ndarray[Any, Any]
STEP = 1e-5  # of a central difference: its error of order STEP² meets rounding of order ε / STEP
IMAGINARY = 1e-20  # of a complex step


def segmented(
    setting: Setting,
    *,
    complex_step: bool = False,
    step: float = STEP,
    chunk_bytes: int = CHUNK_BYTES,
    jobs: int = 1,
    on_steps: OnSteps = untold,
) -> dict[str, Array]:
    """dL by all z_k(t), weights and x: the first measured, the others summed up from them (B5, B6, B5p, B7 assumed).

    Parameters
    ----------
    complex_step: measure by complex steps of 1e-20, without truncation, in place of central differences.
    step: of the central differences, in units of z.
    chunk_bytes, jobs, on_steps: as for :func:`~bptt_check.lstm.copies.losses`.

    Returns
    -------
    dict of str to Array
        ``"z_k(t)"`` (T, B, H) for each gate and the candidate, every weight in its own shape, ``"x"`` (T, B, D); in
        the type of the point.

    Raises
    ------
    ValueError
        For a loss that is not a sum over steps and sequences.

    Source: docs/equations.md, B5 to B7, and the interventions of its section on each line on its own.
    """
    variant, (T, B, _, H) = setting.variant, setting.shape
    kind = np.result_type(*setting.point.values())
    trace = trace_of(setting, kind)
    names = tuple(f"z_{k}(t)" for k in variant.blocks)
    owner = np.repeat(np.arange(len(names)), T * B * H)
    within = np.tile(np.arange(T * B * H), len(names))
    told: dict[str, Any] = {"chunk_bytes": chunk_bytes, "jobs": jobs, "on_steps": on_steps}
    still = {name: np.zeros((T, B, H), kind) for name in names}
    at = Setting(variant, {**still, **setting.point}, setting.loss, setting.y)
    if complex_step:
        moves = np.full(len(owner), 1j * kind.type(IMAGINARY))
        slopes = complex_losses(at, names, owner, within, moves, **told).imag / kind.type(IMAGINARY)
    else:
        ahead, back = (losses(at, names, owner, within, np.full(len(owner), s, kind), **told) for s in (step, -step))
        slopes = (ahead - back) / kind.type(2 * step)
    dz = dict(zip(variant.blocks, slopes.reshape(-1, T, B, H), strict=True))

    found = {f"z_{k}(t)": dz[k] for k in variant.blocks}
    parts = dict.fromkeys(j for k in dz for j in variant.sees(k))
    seen = {j: over_time([trace.seen(j, t) for t in range(1, T + 1)]) for j in parts}  # (T, B, D|H)
    for k in variant.blocks:
        for j in variant.sees(k):
            found[f"W_{k}{j}"] = np.tensordot(dz[k], seen[j], ((0, 1), (0, 1)))  # (H, D|H)  as B5
        found[f"b_{k}"] = dz[k].sum(axis=(0, 1))                              # (H,)  as B6
        if k in variant.peepholed:
            memory = trace.over_time("s") if k == "o" else over_time(trace.s[:-1])
            found[f"p_{k}"] = (dz[k] * memory).sum(axis=(0, 1))               # (H,)  as B5p
    found["x"] = np.sum([dz[k] @ trace.weights[f"W_{k}x"] for k in dz], axis=0)  # (T, B, D)  as B7
    return found
