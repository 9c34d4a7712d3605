"""An LSTM step as a ``torch.autograd.Function`` with a backward pass by hand, unrolled by autograd.

Form: a module for ``bptt_check.adapters.torch``; needs PyTorch. Verified in float64.
"""

import numpy as np
import torch

from bptt_check.adapters.torch import from_module


class Step(torch.autograd.Function):
    """z (B, 4H), in the order g, i, f, o, and s(t-1) (B, H) → h(t), s(t): everything of a step but the products."""

    @staticmethod
    def forward(ctx, z, s_prev):
        g, i, f, o = z.chunk(4, dim=1)
        g, i, f, o = torch.tanh(g), torch.sigmoid(i), torch.sigmoid(f), torch.sigmoid(o)
        s = g * i + s_prev * f
        h = torch.tanh(s) * o
        ctx.save_for_backward(g, i, f, o, s_prev, s)
        return h, s

    @staticmethod
    def backward(ctx, dh, ds_next):
        g, i, f, o, s_prev, s = ctx.saved_tensors
        tanh_s = torch.tanh(s)
        ds = o * (1 - tanh_s**2) * dh + ds_next
        dg = i * ds
        di = g * ds
        df = s_prev * ds
        do = tanh_s * dh
        dz = torch.cat([(1 - g**2) * dg, i * (1 - i) * di, f * (1 - f) * df, o * (1 - o) * do], dim=1)
        return dz, ds * f


class LSTM(torch.nn.Module):
    """x (T, B, D) → all h, (T, B, H)."""

    def __init__(self, D, H):
        super().__init__()
        self.W = torch.nn.Parameter(torch.empty(D, 4 * H))
        self.U = torch.nn.Parameter(torch.empty(H, 4 * H))
        self.b = torch.nn.Parameter(torch.empty(4 * H))

    def forward(self, x, h0, s0):
        h, s, hs = h0, s0, []
        for x_t in x:
            h, s = Step.apply(x_t @ self.W + h @ self.U + self.b, s)
            hs.append(h)
        return torch.stack(hs)


def subject(T=5, B=3, D=4, H=2, rng=0):
    rng = np.random.default_rng(rng)
    lstm = LSTM(D, H)
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.copy_(torch.from_numpy(rng.normal(size=weight.shape)))
    inputs = {name: rng.normal(size=shape) for name, shape in (("x", (T, B, D)), ("h0", (B, H)), ("s0", (B, H)))}
    return from_module(lstm.double(), inputs)
