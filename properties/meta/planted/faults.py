"""What goes wrong in hand-derived backward passes, as edits of the programs: structural or dependent on values.

``needs`` restricts the shapes in which a fault can show at all: ``"T>1"``, ``"B>1"``, ``"D=H"`` and the like.
"""

from __future__ import annotations

from dataclasses import dataclass

from planted.programs_of import Edit


@dataclass(frozen=True)
class Fault:
    """One mistake: its name, the program it is made in, and the edits that make it."""

    name: str
    program: str
    edits: tuple[Edit, ...]
    needs: str = ""
    scale: float | None = None  # size of the weights at which it shows


def _of(program: str, *rows: tuple[str, ...], scale: float | None = None) -> tuple[Fault, ...]:
    return tuple(Fault(row[0], program, ((row[1], row[2]),), row[3] if len(row) > 3 else "", scale) for row in rows)


STACKED = _of(
    "stacked",
    ("dh is not carried", "dh_next = dxc[:, D:]", "dh_next = 0 * dxc[:, D:]"),
    ("dh is carried but not added", "dh = dr @ V + dh_next", "dh = dr @ V", "T>1"),
    ("ds is not carried", "ds_next = ds * f[t]", "ds_next = 0 * ds"),
    ("ds is carried but not added", "* dh + ds_next", "* dh", "T>1"),
    ("ds is carried without the forget gate", "ds_next = ds * f[t]", "ds_next = ds"),
    ("ds is carried with the wrong gate", "ds_next = ds * f[t]", "ds_next = ds * i[t]"),
    ("ds is carried with f of the step before", "ds_next = ds * f[t]", "ds_next = ds * f[t - 1]", "T>1"),
    ("carries are cleared at the last step back", "dh_next = dxc[:, D:]", "dh_next = (t > 0) * dxc[:, D:]"),
    ("dh accumulates over steps", "dh_next = dxc[:, D:]", "dh_next = dh_next + dxc[:, D:]", "T>1"),
    ("ds accumulates over steps", "ds_next = ds * f[t]", "ds_next = ds_next + ds * f[t]", "T>1"),
    ("df takes s of this step", "df = s[t] * ds", "df = s[t + 1] * ds"),
    ("df takes s of two steps before", "df = s[t] * ds", "df = s[t - 1] * ds", "T>1"),
    ("df takes h", "df = s[t] * ds", "df = h[t] * ds"),
    ("do takes s, not tanh s", "do = a[t] * dh", "do = s[t + 1] * dh"),
    ("do takes the memory before", "do = a[t] * dh", "do = np.tanh(s[t]) * dh"),
    ("do takes h", "do = a[t] * dh", "do = h[t + 1] * dh"),
    ("do takes ds", "do = a[t] * dh", "do = a[t] * ds_next", "T>1"),
    ("readout sees the h before", "dV += dr.T @ h[t + 1]", "dV += dr.T @ h[t]"),
    ("readout bias is assigned", "dc += dr.sum(axis=0)", "dc = dr.sum(axis=0)", "T>1"),
    ("readout is assigned", "dV += dr.T @ h[t + 1]", "dV = dr.T @ h[t + 1]", "T>1"),
    ("weights are assigned", "dW += dz.T @ xc[t]", "dW = dz.T @ xc[t]", "T>1"),
    ("bias is assigned", "db += dz.sum(axis=0)", "db = dz.sum(axis=0)", "T>1"),
    ("bias takes the mean", "db += dz.sum(axis=0)", "db += dz.mean(axis=0)", "B>1"),
    ("bias takes one sequence", "db += dz.sum(axis=0)", "db += dz[0]", "B>1"),
    ("weights see the wrong x", "dW += dz.T @ xc[t]", "dW += dz.T @ xc[t - 1]", "T>1"),
    ("weights see one sequence", "dW += dz.T @ xc[t]", "dW += dz[:1].T @ xc[t][:1]", "B>1"),
    ("tanh' of g missing", "dz_g = (1 - g[t] ** 2) * dg", "dz_g = dg"),
    ("tanh' of g twice", "dz_g = (1 - g[t] ** 2) * dg", "dz_g = (1 - g[t] ** 2) ** 2 * dg"),
    ("tanh' of g with tanh of g", "dz_g = (1 - g[t] ** 2) * dg", "dz_g = (1 - np.tanh(g[t]) ** 2) * dg"),
    ("tanh' of g is 1 - g", "dz_g = (1 - g[t] ** 2) * dg", "dz_g = (1 - g[t]) * dg"),
    ("sigma' of i missing", "dz_i = i[t] * (1 - i[t]) * di", "dz_i = di"),
    ("sigma' of i twice", "dz_i = i[t] * (1 - i[t]) * di", "dz_i = (i[t] * (1 - i[t])) ** 2 * di"),
    ("sigma' of f at sigma(f)", "dz_f = f[t] * (1 - f[t]) * df", "dz_f = sigmoid(f[t]) * (1 - sigmoid(f[t])) * df"),
    ("sigma' of o without 1 - o", "dz_o = o[t] * (1 - o[t]) * do", "dz_o = o[t] * do"),
    ("sigma' of o is tanh'", "dz_o = o[t] * (1 - o[t]) * do", "dz_o = (1 - o[t] ** 2) * do"),
    ("sigma' of f has the sign turned", "dz_f = f[t] * (1 - f[t]) * df", "dz_f = f[t] * (f[t] - 1) * df"),
    ("tanh' of s missing", "o[t] * (1 - a[t] ** 2) * dh", "o[t] * dh"),
    ("tanh' of s at tanh s", "o[t] * (1 - a[t] ** 2) * dh", "o[t] * (1 - np.tanh(a[t]) ** 2) * dh"),
    ("tanh' of s at s", "o[t] * (1 - a[t] ** 2) * dh", "o[t] * (1 - s[t + 1] ** 2) * dh"),
    ("output gate forgotten in ds", "o[t] * (1 - a[t] ** 2) * dh", "(1 - a[t] ** 2) * dh"),
    ("wrong gate in ds", "o[t] * (1 - a[t] ** 2) * dh", "f[t] * (1 - a[t] ** 2) * dh"),
    ("i and f swapped in dz", "[dz_g, dz_i, dz_f, dz_o]", "[dz_g, dz_f, dz_i, dz_o]"),
    ("i and o swapped in dz", "[dz_g, dz_i, dz_f, dz_o]", "[dz_g, dz_o, dz_f, dz_i]"),
    ("g and i swapped in dz", "[dz_g, dz_i, dz_f, dz_o]", "[dz_i, dz_g, dz_f, dz_o]"),
    ("g for i in di", "di = g[t] * ds", "di = i[t] * ds"),
    ("i for g in dg", "dg = i[t] * ds", "dg = g[t] * ds"),
    ("dx is that of the first step only", "dx[t] = dxc[:, :D]", "dx[0] = dxc[:, :D]", "T>1"),
    ("dx is one step off", "dx[t] = dxc[:, :D]", "dx[t - 1] = dxc[:, :D]", "T>1"),
    ("dx and dh swapped", "dh_next = dxc[:, D:]", "dh_next = dxc[:, :D]", "D=H"),
    ("readout without its transpose", "dh = dr @ V + dh_next", "dh = dr @ V.T + dh_next", "H=3"),
    ("recurrent matrix transposed", "dh_next = dxc[:, D:]",
     "dh_next = dz[:, : W.shape[0] // 4] @ W[: dz.shape[1] // 4, D:].T"),
    ("the first step is left out", "reversed(range(T))", "reversed(range(1, T))"),
    ("the last step is left out", "reversed(range(T))", "reversed(range(T - 1))", "T>1"),
    ("only the last step counts", "dr = r[t]", "dr = r[t] * (t == T - 1)", "T>1"),
    ("the last step's loss is forgotten", "dr = r[t]", "dr = r[t] * (t < T - 1)"),
    ("the loss derivative is doubled", "dr = r[t]", "dr = 2 * r[t]"),
    ("the loss derivative is halved", "dr = r[t]", "dr = r[t] / 2"),
    ("the loss derivative has its sign turned", "dr = r[t]", "dr = -r[t]"),
    ("the loss derivative is divided by T", "dr = r[t]", "dr = r[t] / T", "T>1"),
    ("the loss derivative is divided by B", "dr = r[t]", "dr = r[t] / B", "B>1"),
    ("weights are divided by B", '{"W": dW,', '{"W": dW / B,', "B>1"),
    ("weights are multiplied by T", '{"W": dW,', '{"W": dW * T,', "T>1"),
    ("weights have the sign turned", '{"W": dW,', '{"W": -dW,'),
    ("weights are minus a half", '{"W": dW,', '{"W": -0.5 * dW,'),
    ("bias is doubled", '"b": db,', '"b": 2 * db,'),
    ("dx is zero", '"x": dx,', '"x": 0 * dx,'),
    ("h0 gets the derivative of s0", '"h0": dh_next, "s0": ds_next', '"h0": ds_next, "s0": ds_next'),
    ("h0 and s0 swapped", '"h0": dh_next, "s0": ds_next', '"h0": ds_next, "s0": dh_next'),
    ("s0 is zero", '"s0": ds_next', '"s0": 0 * ds_next'),
    ("h0 is ds of no step", '"h0": dh_next', '"h0": dh'),
    ("s0 is ds of the first step", '"s0": ds_next', '"s0": ds'),
    ("accumulator starts with ones", "dh_next = np.zeros_like", "dh_next = np.ones_like"),
    ("carry of s starts with ones", "ds_next = np.zeros_like", "ds_next = np.ones_like"),
    ("weight decay is in the gradient only", '{"W": dW,', '{"W": dW + 1e-3 * W,'),
    ("wrong beyond three steps", "ds_next = ds * f[t]", "ds_next = ds * f[t] * (t > T - 4)", "T>4"),
    ("truncated after two steps", "dh_next = dxc[:, D:]", "dh_next = dxc[:, D:] * (t >= T - 2)", "T>3"),
    ("wrong for a batch", "df = s[t] * ds", "df = (s[t] if B == 1 else s[t].mean(axis=0)) * ds", "B>1"),
    ("wrong for more than two cells", "dh_next = dxc[:, D:]",
     "dh_next = np.roll(dxc[:, D:], 1, axis=1) if W.shape[0] > 8 else dxc[:, D:]", "H>2"),
    ("gradients of the batch's first two are swapped", '"x": dx,', '"x": dx[:, ::-1],', "B>1"),
    ("dx is reversed in time", '"x": dx,', '"x": dx[::-1],', "T>1"),
    ("the first cell's bias is forgotten", "db += dz.sum(axis=0)", "db[1:] += dz.sum(axis=0)[1:]"),
    ("the last input's weights are forgotten", "dW += dz.T @ xc[t]", "dW[:, :-1] += (dz.T @ xc[t])[:, :-1]"),
)  # fmt: skip

GATES = _of(
    "gates",
    ("U is assigned", 'd["U" + k] += h[t - 1].T @ dz', 'd["U" + k] = h[t - 1].T @ dz', "T>1"),
    ("W is assigned", 'd["W" + k] += x[t - 1].T @ dz', 'd["W" + k] = x[t - 1].T @ dz', "T>1"),
    ("b is assigned", 'd["b" + k] += dz.sum(axis=0)', 'd["b" + k] = dz.sum(axis=0)', "T>1"),
    ("U sees h of this step", 'd["U" + k] += h[t - 1].T @ dz', 'd["U" + k] += h[t].T @ dz'),
    ("U sees s", 'd["U" + k] += h[t - 1].T @ dz', 'd["U" + k] += s[t - 1].T @ dz'),
    ("U is transposed", 'd["U" + k] += h[t - 1].T @ dz', 'd["U" + k] += dz.T @ h[t - 1]'),
    ("W sees the x before", 'd["W" + k] += x[t - 1].T @ dz', 'd["W" + k] += x[t - 2].T @ dz', "T>1"),
    ("W is transposed", 'd["W" + k] += x[t - 1].T @ dz', 'd["W" + k] += (x[t - 1].T @ dz).T', "D=H"),
    ("dh through U without its transpose", 'dh_next += dz @ p["U" + k].T', 'dh_next += dz @ p["U" + k]'),
    ("dh through W", 'dh_next += dz @ p["U" + k].T', 'dh_next += dz @ p["W" + k].T', "D=H"),
    ("dh from the last gate only", 'dh_next += dz @ p["U" + k].T', 'dh_next = dz @ p["U" + k].T'),
    ("dh misses the candidate", 'dh_next += dz @ p["U" + k].T', 'dh_next += (k != "g") * dz @ p["U" + k].T'),
    ("dx from the last gate only", 'd["x"][t - 1] += dz', 'd["x"][t - 1] = dz'),
    ("dx misses the forget gate", 'd["x"][t - 1] += dz @', 'd["x"][t - 1] += (k != "f") * dz @'),
    ("dx into the wrong step", 'd["x"][t - 1] += dz', 'd["x"][t - 2] += dz', "T>1"),
    ("dx at slot t", 'd["x"][t - 1] += dz', 'd["x"][t % T] += dz', "T>1"),
    ("s of this step for df", "s[t - 1] * ds\n", "s[t] * ds\n"),
    ("s wraps round", "s[t - 1] * ds\n", "s[t - 2] * ds\n"),
    ("g and i exchanged", "i[t] * ds, g[t] * ds,", "g[t] * ds, i[t] * ds,"),
    ("tanh applied twice", "ds = o[t] * (1 - tanh_s**2) * dh", "ds = o[t] * (1 - np.tanh(tanh_s) ** 2) * dh"),
    ("tanh' forgotten", "ds = o[t] * (1 - tanh_s**2) * dh", "ds = o[t] * dh"),
    ("1 - tanh without the square", "ds = o[t] * (1 - tanh_s**2) * dh", "ds = o[t] * (1 - tanh_s) * dh"),
    ("do takes s", "do = tanh_s * dh", "do = s[t] * dh"),
    ("do takes the state before", "do = tanh_s * dh", "do = np.tanh(s[t - 1]) * dh"),
    ("g' with a plus", "(1 - g[t] * g[t]) * dg", "(1 + g[t] * g[t]) * dg"),
    ("g' missing", "(1 - g[t] * g[t]) * dg", "dg"),
    ("i' missing", "i[t] * (1 - i[t]) * di", "di"),
    ("i' with f", "i[t] * (1 - i[t]) * di", "f[t] * (1 - f[t]) * di"),
    ("f' of the step before", "f[t] * (1 - f[t]) * df", "f[t - 1] * (1 - f[t - 1]) * df", "T>1"),
    ("f' with the sign turned", "f[t] * (1 - f[t]) * df", "f[t] * (f[t] - 1) * df"),
    ("o' is 1 - o", "o[t] * (1 - o[t]) * do", "(1 - o[t]) * do"),
    ("o' at the pre-activation's sigma", "o[t] * (1 - o[t]) * do", "sigmoid(o[t]) * (1 - sigmoid(o[t])) * do"),
    ("i and f exchanged in the loop", '("i", dzi), ("f", dzf)', '("f", dzi), ("i", dzf)'),
    ("g and o exchanged in the loop", '("g", dzg), ("i", dzi), ("f", dzf), ("o", dzo)',
     '("o", dzg), ("i", dzi), ("f", dzf), ("g", dzo)'),
    ("the output gate is left out", '("f", dzf), ("o", dzo)', '("f", dzf)'),
    ("probabilities without minus one", "dscores[np.arange(B), y[t - 1]] -= 1", "dscores[np.arange(B), y[t - 1]] -= 0"),
    ("labels of another step", "dscores[np.arange(B), y[t - 1]] -= 1", "dscores[np.arange(B), y[t - 2]] -= 1", "T>1"),
    ("mean over the batch", "dscores[np.arange(B), y[t - 1]] -= 1",
     "dscores[np.arange(B), y[t - 1]] -= 1; dscores /= B", "B>1"),
    ("temperature in the gradient only", "dscores[np.arange(B), y[t - 1]] -= 1",
     "dscores[np.arange(B), y[t - 1]] -= 1; dscores *= 0.9"),
    ("readout transposed", "dh = dscores @ p[\"Wy\"].T", "dh = dscores @ p[\"Wy\"]", "H=3"),
    ("readout sees tanh s", 'd["Wy"] += h[t].T @ dscores', 'd["Wy"] += np.tanh(s[t]).T @ dscores'),
    ("readout sees h before", 'd["Wy"] += h[t].T @ dscores', 'd["Wy"] += h[t - 1].T @ dscores'),
    ("readout is assigned", 'd["Wy"] += h[t].T @ dscores', 'd["Wy"] = h[t].T @ dscores', "T>1"),
    ("readout bias assigned", 'd["by"] += dscores.sum(axis=0)', 'd["by"] = dscores.sum(axis=0)', "T>1"),
    ("dh without the later steps", ".T + dh_next", ".T", "T>1"),
    ("ds without the later steps", "* dh + ds_next", "* dh", "T>1"),
    ("ds carried with i", "ds_next = f[t] * ds", "ds_next = i[t] * ds"),
    ("ds carried whole", "ds_next = f[t] * ds", "ds_next = ds"),
    ("ds carried with f of the step after", "ds_next = f[t] * ds", "ds_next = f[min(t + 1, T)] * ds", "T>1"),
    ("ds misses the first step", "ds_next = f[t] * ds", "ds_next = f[t] * ds * (t > 1)"),
    ("steps forwards", "for t in range(T, 0, -1)", "for t in range(1, T + 1)", "T>1"),
    ("first step not visited", "for t in range(T, 0, -1)", "for t in range(T, 1, -1)"),
    ("last step not visited", "for t in range(T, 0, -1)", "for t in range(T - 1, 0, -1)", "T>1"),
    ("h0 not handed out", 'd["h0"], d["s0"] = dh_next, ds_next', 'd["s0"] = ds_next'),
    ("h0 and s0 exchanged", 'd["h0"], d["s0"] = dh_next, ds_next', 'd["h0"], d["s0"] = ds_next, dh_next'),
    ("s0 is the ds of step 1", 'd["h0"], d["s0"] = dh_next, ds_next', 'd["h0"], d["s0"] = dh_next, ds'),
    ("biases are divided by T", 'd["b" + k] += dz.sum(axis=0)', 'd["b" + k] += dz.sum(axis=0) / T', "T>1"),
    ("biases of the first sequence", 'd["b" + k] += dz.sum(axis=0)', 'd["b" + k] += dz[0]', "B>1"),
    ("wrong for long sequences", "ds_next = f[t] * ds",
     "ds_next = f[t] * ds if T <= 3 else np.minimum(f[t], 0.5) * ds", "T>3"),
)  # fmt: skip

PEEPHOLE = _of(
    "peephole",
    ("peephole of o forgotten in ds", "+ p[\"po\"] * dzo\n", "\n"),
    ("peephole of i forgotten in ds", "ds_prev = f * ds + p[\"pi\"] * dzi + p[\"pf\"] * dzf",
     "ds_prev = f * ds + p[\"pf\"] * dzf"),
    ("peepholes forgotten in ds", "ds_prev = f * ds + p[\"pi\"] * dzi + p[\"pf\"] * dzf", "ds_prev = f * ds"),
    ("peepholes exchanged", "p[\"pi\"] * dzi + p[\"pf\"] * dzf", "p[\"pf\"] * dzi + p[\"pi\"] * dzf"),
    ("po sees s before", "(dzo * s).sum(axis=0)", "(dzo * s_prev).sum(axis=0)"),
    ("pi sees s", "(dzi * s_prev).sum(axis=0)", "(dzi * s).sum(axis=0)"),
    ("pf sees dzi", "(dzf * s_prev).sum(axis=0)", "(dzi * s_prev).sum(axis=0)"),
    ("po enters the carry", "ds_prev = f * ds", "ds_prev = f * ds + p[\"po\"] * dzo"),
    ("dzf takes s", "dzf = f * (1 - f) * s_prev * ds", "dzf = f * (1 - f) * s * ds"),
    ("dzf without its slope", "dzf = f * (1 - f) * s_prev * ds", "dzf = s_prev * ds"),
    ("dzi takes i for g", "dzi = i * (1 - i) * g * ds", "dzi = i * (1 - i) * i * ds"),
    ("dzg takes g'(g) squared", "dzg = (1 - g * g) * i * ds", "dzg = (1 - g * g) ** 2 * i * ds"),
    ("dzo takes s", "dzo = o * (1 - o) * a * dh", "dzo = o * (1 - o) * s * dh"),
    ("dzo twice", "dzo = o * (1 - o) * a * dh", "dzo = 2 * o * (1 - o) * a * dh"),
    ("tanh' missing", "(1 - a * a) * o * dh", "o * dh"),
    ("o missing in ds", "(1 - a * a) * o * dh", "(1 - a * a) * dh"),
    ("carry of s not taken in", "ds = d[\"s\"] + ", "ds = ", "T>1"),
    ("carry of h halved", "dh = d[\"h\"]\n", "dh = d[\"h\"] / 2\n"),
    ("dxc misses one gate", "+ dzf @ p[\"Wf\"] + dzo", "+ dzo"),
    ("dxc subtracts one gate", "+ dzf @ p[\"Wf\"] + dzo", "- dzf @ p[\"Wf\"] + dzo"),
    ("dxc with matrices exchanged", "dzi @ p[\"Wi\"] + dzf @ p[\"Wf\"]", "dzi @ p[\"Wf\"] + dzf @ p[\"Wi\"]"),
    ("dx and dh exchanged", "dxc[:, :D], {\"h\": dxc[:, D:]", "dxc[:, D:], {\"h\": dxc[:, :D]", "D=H"),
    ("ds carried whole", "ds_prev = f * ds +", "ds_prev = ds +"),
    ("bias mean", "\"bg\": dzg.sum(axis=0)", "\"bg\": dzg.mean(axis=0)", "B>1"),
    ("Wf gets Wi's", "\"Wf\": dzf.T @ xc", "\"Wf\": dzi.T @ xc"),
    ("Wo sign", "\"Wo\": dzo.T @ xc", "\"Wo\": -dzo.T @ xc"),
    ("h carried with its sign turned", "{\"h\": dxc[:, D:]", "{\"h\": -dxc[:, D:]"),
)  # fmt: skip

STRUCTURAL = (*STACKED, *GATES, *PEEPHOLE)


def _clips() -> tuple[Fault, ...]:
    rows = []
    for c in (1e-3, 1e-2, 0.1, 1.0):
        rows += [
            (f"weights clipped to {c:g}", '{"W": dW,', f'{{"W": np.clip(dW, -{c}, {c}),'),
            (f"dh clipped to {c:g} inside", "dh = dr @ V + dh_next", f"dh = np.clip(dr @ V + dh_next, -{c}, {c})"),
            (
                f"ds_next clipped to {c:g} inside",
                "ds_next = ds * f[t]",
                f"ds_next = np.clip(ds * f[t], -{c}, {c})",
                "T>1",
            ),
            (f"weights' norm clipped to {c:g}", '{"W": dW,', f'{{"W": dW * min(1, {c} / np.sqrt((dW**2).sum())),'),
        ]
    return _of("stacked", *rows)


def _dead(c: float) -> tuple[Fault, ...]:
    i, g, o = "i[t] * (1 - i[t])", "(1 - g[t] ** 2)", "o[t] * (1 - a[t] ** 2)"
    return _of(
        "stacked",
        (f"i' is 0 where |z| > {c:g}", f"{i} * di", f"{i} * (np.abs(np.log(i[t] / (1 - i[t]))) < {c}) * di"),
        (f"g' is 0 where |z| > {c:g}", f"dz_g = {g} * dg", f"dz_g = {g} * (np.abs(np.arctanh(g[t])) < {c}) * dg"),
        (f"tanh' of s is 0 where |s| > {c:g}", f"{o} * dh", f"{o} * (np.abs(s[t + 1]) < {c}) * dh"),
        scale=3.0,
    )


def _small(name: str, c: str) -> tuple[Fault, ...]:
    q = "dscores[np.arange(B), y[t - 1]]"
    return _of(
        "stacked",
        (f"{name} added to tanh'", "o[t] * (1 - a[t] ** 2) * dh", f"o[t] * (1 - a[t] ** 2 + {c}) * dh"),
        (f"{name} added to sigma'", "dz_f = f[t] * (1 - f[t]) * df", f"dz_f = (f[t] * (1 - f[t]) + {c}) * df"),
        (f"{name} added to a denominator", "dr = r[t]\n", f"dr = r[t] * r[t] / (r[t] + {c})\n"),
        (f"{name} added to the carry", "dh_next = dxc[:, D:]", f"dh_next = dxc[:, D:] + {c}"),
    ) + _of(
        "gates",
        (f"{name} added to probabilities", f"{q} -= 1", f"{q} -= 1 / (1 + {c} / {q})"),
        (f"{name} added to g'", "(1 - g[t] * g[t]) * dg", f"(1 - g[t] * g[t] + {c}) * dg"),
    )  # fmt: skip


_SINGLE = _of(
    "stacked",
    ("a float32 carry", "dh_next = dxc[:, D:]", "dh_next = dxc[:, D:].astype(np.float32).astype(float)"),
    ("a float32 cache of s", "df = s[t] * ds", "df = s[t].astype(np.float32) * ds"),
    ("a float32 cache of a", "do = a[t] * dh", "do = a[t].astype(np.float32) * dh"),
    ("a float32 accumulator of W", "dW += dz.T @ xc[t]", "dW = (dW + dz.T @ xc[t]).astype(np.float32).astype(float)"),
    ("a float32 accumulator of b", "db += dz.sum(axis=0)", "db += dz.sum(axis=0, dtype=np.float32)"),
    ("a float32 residual", "dr = r[t]\n", "dr = r[t].astype(np.float32)\n"),
    ("a float16 carry", "ds_next = ds * f[t]", "ds_next = (ds * f[t]).astype(np.float16).astype(float)"),
) + _of(
    "gates",
    ("float32 accumulators", "np.zeros_like(v) for k, v", "np.zeros_like(v, dtype=np.float32) for k, v"),
    ("float32 probabilities", "[t - 1].copy()", "[t - 1].astype(np.float32)"),
    ("a float32 tanh", "tanh_s = np.tanh(s[t])", "tanh_s = np.tanh(s[t].astype(np.float32))"),
)  # fmt: skip

_SATURATED = _of(
    "stacked",
    ("sigma' is at least 1e-3", "dz_i = i[t] * (1 - i[t]) * di", "dz_i = np.maximum(i[t] * (1 - i[t]), 1e-3) * di"),
    ("gates kept from 0 and 1 in the backward pass", "dz_f = f[t] * (1 - f[t]) * df",
     "dz_f = np.clip(f[t], 0.01, 0.99) * (1 - np.clip(f[t], 0.01, 0.99)) * df"),
    ("tanh' is 0 from 0.99", "dz_g = (1 - g[t] ** 2) * dg",
     "dz_g = np.where(np.abs(g[t]) > 0.99, 0, 1 - g[t] ** 2) * dg"),
    ("hard sigmoid's slope", "dz_o = o[t] * (1 - o[t]) * do",
     "dz_o = np.where((o[t] > 0.02) & (o[t] < 0.98), o[t] * (1 - o[t]), 0) * do"),
    ("gates rounded when nearly open", "ds_next = ds * f[t]", "ds_next = ds * np.where(f[t] > 0.99, 1, f[t])"),
    scale=4.0,
)  # fmt: skip

VALUE_DEPENDENT = (*_clips(), *_dead(1.5), *_dead(3.0), *_small("1e-8", "1e-8"), *_SINGLE, *_SATURATED)
