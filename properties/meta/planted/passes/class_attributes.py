"""A network as an object: weights and gradients are attributes, the tape is kept in lists, the loss is a method."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake

GATES = ("in", "forget", "out", "cand")


class Memory:
    def __init__(self, d, n, seq, wanted, rng):
        self.seq, self.wanted, self.n = seq, wanted, n
        for gate in GATES:
            setattr(self, f"w_{gate}", rng.normal(size=(d, n)))
            setattr(self, f"u_{gate}", rng.normal(size=(n, n)))
            setattr(self, f"b_{gate}", rng.normal(size=n))
        self.start = rng.normal(size=(seq.shape[1], n))
        self.clear()

    def clear(self):
        for gate in GATES:
            for kind in "wub":
                name = f"{kind}_{gate}"
                setattr(self, f"d{name}", np.zeros_like(getattr(self, name)))
        self.dseq = np.zeros_like(self.seq)

    def forwards(self):
        self.hid, self.mem, self.act = [self.start], [np.zeros_like(self.start)], []
        for x in self.seq:
            a = {}
            for gate in GATES:
                net = x @ getattr(self, f"w_{gate}") + self.hid[-1] @ getattr(self, f"u_{gate}")
                net = net + getattr(self, f"b_{gate}")
                a[gate] = np.tanh(net) if gate == "cand" else 1 / (1 + np.exp(-net))
            self.act.append(a)
            self.mem.append(a["forget"] * self.mem[-1] + a["in"] * a["cand"])
            self.hid.append(a["out"] * np.tanh(self.mem[-1]))

    def backwards(self):
        n_steps = len(self.seq)
        d_hid, d_mem = np.zeros_like(self.start), np.zeros_like(self.start)
        for t in range(n_steps - 1, -1, -1):
            a, squashed = self.act[t], np.tanh(self.mem[t + 1])
            d_hid = d_hid + 2 * (self.hid[t + 1] - self.wanted[t])
            d_net = {"out": d_hid * squashed * a["out"] * (1 - a["out"])}
            d_mem = d_mem + d_hid * a["out"] * (1 - squashed**2)
            d_net["cand"] = d_mem * a["in"] * (1 - a["cand"] ** 2)
            d_net["in"] = d_mem * a["cand"] * a["in"] * (1 - a["in"])
            d_net["forget"] = d_mem * self.mem[t] * a["forget"] * (1 - a["forget"])
            d_hid = np.zeros_like(d_hid)
            for gate in GATES:
                self.add(f"dw_{gate}", self.seq[t].T @ d_net[gate])
                self.add(f"du_{gate}", self.hid[t].T @ d_net[gate])
                self.add(f"db_{gate}", d_net[gate].sum(axis=0))
                d_hid += d_net[gate] @ getattr(self, f"u_{gate}").T
                self.dseq[t] += d_net[gate] @ getattr(self, f"w_{gate}").T
            d_mem = d_mem * a["forget"]
        self.dstart = d_hid

    def add(self, name, value):
        setattr(self, name, getattr(self, name) + value)

    def train(self):
        self.forwards()
        self.backwards()
        return float(((np.stack(self.hid[1:]) - self.wanted) ** 2).sum())


def subject(rng):
    T, b, d, n = 4, 2, 3, 2
    draw = np.random.default_rng(rng)
    seq, wanted = draw.normal(size=(T, b, d)), draw.normal(size=(T, b, n))

    def make():
        return Memory(d, n, seq.copy(), wanted, np.random.default_rng(rng + 1))

    names = [f"{kind}_{gate}" for gate in GATES for kind in "wub"] + ["seq", "start"]
    return Subject.from_object(
        make,
        Memory.train,
        parameters={name: name for name in names},
        gradients={name: f"d{name}" for name in names},
        loss_of="euclidean",
        targets=wanted,
    )


MISTAKES = (
    Mistake(
        "factor 2 lost",
        "2 * (self.hid[t + 1] - self.wanted[t])",
        "(self.hid[t + 1] - self.wanted[t])",
        ("loss-factor-half", "scaled"),
        "B1",
    ),
    Mistake(
        "gradient replaced",
        "setattr(self, name, getattr(self, name) + value)",
        "setattr(self, name, value)",
        ("sum-over-time-assigned",),
        "B5",
    ),
    Mistake(
        "accumulators start at one",
        "np.zeros_like(getattr(self, name)))",
        "np.ones_like(getattr(self, name)))",
        ("sum-starts-at-one",),
        "B5",
    ),
    Mistake(
        "recurrent matrix not transposed",
        'd_hid += d_net[gate] @ getattr(self, f"u_{gate}").T',
        'd_hid += d_net[gate] @ getattr(self, f"u_{gate}")',
        ("back-transposed",),
        "B7",
    ),
    Mistake(
        "h(t) in the outer product", "self.hid[t].T @ d_net", "self.hid[t + 1].T @ d_net", ("state-of-this-step",), "B5"
    ),
    Mistake(
        "carry of the memory lost",
        'd_mem = d_mem * a["forget"]',
        "d_mem = np.zeros_like(d_mem)",
        ("ds-next-dropped", "ds-carry-dropped"),
        "B2",
    ),
    Mistake("carry never reset", "d_hid = np.zeros_like(d_hid)", "pass", ("dh-next-of-dh",), "B7"),
    Mistake(
        "sign of the error",
        "2 * (self.hid[t + 1] - self.wanted[t])",
        "2 * (self.wanted[t] - self.hid[t + 1])",
        ("loss-sign", "scaled"),
        "B1",
    ),
)
