"""Backward passes written for PyTorch, JAX and C: right ones agree, and a wrong twin of each disagrees."""

from __future__ import annotations

import builtins
import importlib
import shutil

import numpy as np
import pytest

from bptt_check import SubjectError, Verdict, check
from bptt_check.adapters import c as c_adapter
from bptt_check.errors import MissingExtra, UsageError

T, B, D, H = 4, 3, 2, 5
COMPILER = next(filter(shutil.which, ("cc", "gcc", "clang")), None)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")


def arrays(dtype=float, rng=0):
    rng = np.random.default_rng(rng)
    shapes = {"W": (D, H), "U": (H, H), "b": (H,), "x": (T, B, D), "h0": (B, H)}
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def kinds(result):
    return [finding.kind for finding in result.findings if finding.kind != "no-known-cause"]


def no_module(monkeypatch, missing):
    """As on a machine without it."""
    original = importlib.import_module

    def refuse(name, *rest, **named):
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return original(name, *rest, **named)

    monkeypatch.setattr("bptt_check.adapters.library.import_module", refuse)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_a_missing_library_is_told_with_the_extra_that_brings_it(library, monkeypatch):
    no_module(monkeypatch, library)
    adapter = importlib.import_module(f"bptt_check.adapters.{library}")
    with pytest.raises(MissingExtra, match=rf"pip install 'bptt-check\[{library}\]'"):
        adapter.from_function(lambda p: p, {"x": np.ones(2)})


def test_the_adapters_import_without_their_libraries(monkeypatch):
    original = builtins.__import__

    def refuse(name, *rest, **named):
        assert name.partition(".")[0] not in ("torch", "jax")
        return original(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for adapter in ("torch", "jax", "c"):
        importlib.reload(importlib.import_module(f"bptt_check.adapters.{adapter}"))


# PyTorch


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="needs the extra torch")


@pytest.fixture(scope="module")
def steps(torch):
    """An Elman step as an autograd.Function, by the mistake in its backward pass."""

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z, h_prev):
            h = torch.tanh(z) + 0.5 * h_prev
            ctx.save_for_backward(z)
            return h

        @staticmethod
        def backward(ctx, dh):
            (z,) = ctx.saved_tensors
            return (1 - torch.tanh(z) ** 2) * dh, 0.5 * dh

    class WrongArgument(Step):
        @staticmethod
        def backward(ctx, dh):
            (z,) = ctx.saved_tensors
            return (1 - z**2) * dh, 0.5 * dh

    class NoCarry(Step):
        @staticmethod
        def backward(ctx, dh):
            return Step.backward(ctx, dh)[0], None

    return {"right": Step, "wrong argument": WrongArgument, "no carry": NoCarry}


@pytest.fixture(scope="module")
def modules(torch, steps):
    class Elman(torch.nn.Module):
        def __init__(self, mistake="right", kind=torch.float64):
            super().__init__()
            self.step = steps[mistake]
            weights = arrays()
            self.W = torch.nn.Parameter(torch.from_numpy(weights["W"]).to(kind))
            self.U = torch.nn.Parameter(torch.from_numpy(weights["U"]).to(kind))
            self.register_buffer("b", torch.from_numpy(weights["b"]).to(kind))

        def forward(self, x, h0):
            hs = [h0]
            for x_t in x:
                hs.append(self.step.apply(x_t @ self.W + hs[-1] @ self.U + self.b, hs[-1]))
            return torch.stack(hs[1:])

    return Elman


def sequence(dtype=float):
    return {name: array for name, array in arrays(dtype).items() if name in ("x", "h0")}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("mistake", ["right", "wrong argument", "no carry"])
def test_an_autograd_function_is_judged_by_its_own_backward(torch, steps, mistake, dtype):
    from bptt_check.adapters.torch import from_function

    rng = np.random.default_rng(2)
    point = {"z": rng.uniform(0.5, 1, (B, H)).astype(dtype), "h_prev": rng.uniform(0.5, 1, (B, H)).astype(dtype)}
    result = check(from_function(steps[mistake], point), resolution=0.1 if dtype == np.float32 else None, causes=False)
    verdicts = {name: block.verdict for name, block in result.blocks.items()}
    assert verdicts["z"] is (Verdict.DISAGREES if mistake == "wrong argument" else Verdict.AGREES), str(result)
    assert verdicts["h_prev"] is (Verdict.NOT_RETURNED if mistake == "no carry" else Verdict.AGREES)


@pytest.mark.parametrize("mistake", ["right", "wrong argument", "no carry"])
def test_a_module_is_judged_with_all_its_parameters_and_inputs(torch, modules, mistake):
    from bptt_check.adapters.torch import from_module

    result = check(from_module(modules(mistake), sequence()))
    assert result.verdict is (Verdict.AGREES if mistake == "right" else Verdict.DISAGREES), str(result)
    assert list(result.blocks) == ["W", "U", "x", "h0"]


def test_a_float32_module_is_never_a_false_alarm_and_sharper_in_float64(torch, modules):
    from bptt_check.adapters.torch import from_module

    module = modules(kind=torch.float32)
    single = check(from_module(module, sequence()))
    assert single.verdict is not Verdict.DISAGREES, str(single)
    double = check(from_module(module, sequence(), dtype="float64"))
    assert double.verdict is Verdict.AGREES
    assert max(b.resolution for b in double.blocks.values()) < 1e-6
    assert module.W.dtype == torch.float32


def test_a_loss_of_the_users_own_goes_with_a_module(torch, modules):
    from bptt_check.adapters.torch import from_module

    def loss(h):
        return (h**2).sum()

    subject = from_module(modules(), sequence(), loss=loss)
    module = modules()
    value = loss(module(*(torch.from_numpy(a) for a in sequence().values())))
    assert float(subject.loss(subject.point)) == pytest.approx(value.item(), rel=1e-14)
    assert check(subject).verdict is Verdict.AGREES
    assert check(from_module(modules("wrong argument"), sequence(), loss=loss)).verdict is Verdict.DISAGREES


def test_the_library_s_own_lstm_agrees(torch):
    from bptt_check.adapters.torch import from_module

    with torch.random.fork_rng():
        torch.manual_seed(0)
        lstm = torch.nn.LSTM(D, H)
    result = check(from_module(lstm, {"input": arrays()["x"]}, dtype="float64"))
    assert result.verdict is Verdict.AGREES, str(result)
    assert {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "input"} == set(result.blocks)


def test_dropout_in_training_mode_draws_alike_and_leaves_the_generator_as_it_was(torch):
    from bptt_check.adapters.torch import from_module

    class Dropping(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.W = torch.nn.Parameter(torch.from_numpy(arrays()["W"]))

        def forward(self, x):
            return torch.nn.functional.dropout(torch.tanh(x @ self.W), 0.5, self.training)

    before = torch.random.get_rng_state()
    assert check(from_module(Dropping(), {"x": arrays()["x"]})).verdict is Verdict.AGREES
    assert torch.equal(torch.random.get_rng_state(), before)


def test_running_statistics_of_a_module_are_left_as_they_are(torch):
    from bptt_check.adapters.torch import from_module

    norm = torch.nn.BatchNorm1d(H).double()
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    assert check(from_module(norm, {"input": arrays()["h0"]})).verdict is Verdict.AGREES
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())


def test_a_function_that_computes_in_float32_inside_is_measured_as_such(torch):
    from bptt_check.adapters.torch import from_function

    table = torch.linspace(0.5, 1, H, dtype=torch.float32)

    def right(w):
        return torch.nn.functional.linear(w, torch.diag(table))  # refuses any other type

    point = {"w": np.linspace(1, 2, H, dtype=np.float32)[None]}
    subject = from_function(right, point)
    assert subject.precision == "float32"
    assert check(subject).verdict is not Verdict.DISAGREES


def test_several_outputs_constants_and_tensors_as_points(torch):
    from bptt_check.adapters.torch import from_function

    def function(w, index, power):
        return {"a": w[index] ** power, "b": (w.sum(), torch.tensor([3]))}

    point = {"w": torch.tensor([0.5, 2.0, -1.0], dtype=torch.float64), "index": np.array([0, 2, 2]), "power": 3}
    subject = from_function(function, point)
    assert list(subject.point) == ["w"]
    assert check(subject).verdict is Verdict.AGREES


def test_what_torch_is_given_wrongly_is_told(torch, modules):
    from bptt_check.adapters.torch import from_function, from_module

    with pytest.raises(SubjectError, match="inputs names W, which is a parameter of the module too"):
        from_module(modules(), {"W": np.ones(2)})
    with pytest.raises(SubjectError, match="the point is empty"):
        from_function(torch.tanh, {"x": np.arange(3)})
    with pytest.raises(SubjectError, match="str is returned; it must be a floating-point tensor"):
        from_function(lambda w: "h", {"w": np.ones(2)})
    result = check(from_function(lambda w: w @ torch.ones(7, dtype=w.dtype), {"w": np.ones(2)}))
    assert kinds(result) == ["raised"]


# JAX


@pytest.fixture(scope="module")
def cells():
    """An Elman network with a custom_vjp, by the mistake in its backward pass."""
    jax = pytest.importorskip("jax", reason="needs the extra jax")
    jnp = jax.numpy

    def run(p):
        hs = [p["h0"]]
        for x in p["x"]:
            hs.append(jnp.tanh(x @ p["W"] + hs[-1] @ p["U"] + p["b"]))
        return jnp.stack(hs[1:]), (p, hs)

    def elman(carry, forward=run):
        def backward(cache, dy):
            p, hs = cache
            d = {name: jnp.zeros_like(a) for name, a in p.items() if name != "x"}
            dh_next, dx = jnp.zeros_like(p["h0"]), []
            for t in range(len(dy), 0, -1):
                dz = (1 - hs[t] ** 2) * (dy[t - 1] + carry * dh_next)
                d["W"] += p["x"][t - 1].T @ dz
                d["U"] += hs[t - 1].T @ dz
                d["b"] += dz.sum(axis=0)
                dx.insert(0, dz @ p["W"].T)
                dh_next = dz @ p["U"].T
            return ({**d, "h0": dh_next, "x": jnp.stack(dx)},)

        function = jax.custom_vjp(lambda p: run(p)[0])
        function.defvjp(forward, backward)
        return function

    def other_outputs(p):
        h, cache = run(p)
        return 2 * h, cache

    return {"right": elman(1.0), "wrong": elman(0.0), "forward rule": elman(1.0, other_outputs)}


@pytest.mark.parametrize("mistake", ["right", "wrong"])
def test_a_custom_vjp_is_judged_by_its_own_backward(cells, mistake):
    from bptt_check.adapters.jax import from_function

    result = check(from_function(cells[mistake], arrays()), causes=False)
    assert result.verdict is (Verdict.AGREES if mistake == "right" else Verdict.DISAGREES), str(result)
    assert result.compared == D * H + H * H + H + T * B * D + B * H
    assert not kinds(result)


def test_a_float32_custom_vjp_is_never_a_false_alarm(cells):
    from bptt_check.adapters.jax import from_function

    assert check(from_function(cells["right"], arrays(np.float32))).verdict is not Verdict.DISAGREES
    assert check(from_function(cells["wrong"], arrays(np.float32)), causes=False).verdict is Verdict.DISAGREES


def test_sixty_four_bits_stay_switched_off_outside(cells):
    import jax

    from bptt_check.adapters.jax import from_function

    check(from_function(cells["right"], arrays()))
    assert jax.numpy.asarray(np.ones(1)).dtype == np.float32


def test_a_scalar_function_of_a_nested_point_in_jax(cells):
    import jax

    from bptt_check.adapters.jax import from_function

    def loss(layers):
        return sum(jax.numpy.tanh(layer["W"]).sum() for layer in layers)

    result = check(from_function(loss, [{"W": np.array([0.5, 2.0])}, {"W": np.array([-1.0])}]))
    assert result.verdict is Verdict.AGREES
    assert list(result.blocks) == ["[0].W", "[1].W"]


def test_a_forward_rule_with_other_outputs_is_told(cells):
    from bptt_check.adapters.jax import from_function

    assert "forward-rule-differs" in kinds(check(from_function(cells["forward rule"], arrays())))


# C

ELMAN = r"""
#include <math.h>
#include <stdlib.h>
#ifndef REAL
#define REAL double
#endif
#ifndef CARRY
#define CARRY 1
#endif

enum { T = 4, B = 3, D = 2, H = 5 };

/* point: W (D, H), U (H, H), b (H), x (T, B, D), h0 (B, H). Loss: the sum of h^2 over all steps. */
REAL both(const REAL *point, REAL *gradient)
{
    const REAL *W = point, *U = W + D * H, *b = U + H * H, *x = b + H, *h0 = x + T * B * D;
    REAL h[T + 1][B][H], loss = 0;
    for (int n = 0; n < B; n++)
        for (int j = 0; j < H; j++)
            h[0][n][j] = h0[n * H + j];
    for (int t = 1; t <= T; t++)
        for (int n = 0; n < B; n++)
            for (int j = 0; j < H; j++) {
                REAL z = b[j];
                for (int d = 0; d < D; d++)
                    z += x[((t - 1) * B + n) * D + d] * W[d * H + j];
                for (int m = 0; m < H; m++)
                    z += h[t - 1][n][m] * U[m * H + j];
                h[t][n][j] = tanh(z);
                loss += h[t][n][j] * h[t][n][j];
            }
    if (!gradient)
        return loss;
    const int size = D * H + H * H + H + T * B * D + B * H;
    for (int k = 0; k < size; k++)
        gradient[k] = 0;
    REAL *dW = gradient, *dU = dW + D * H, *db = dU + H * H, *dx = db + H, *dh0 = dx + T * B * D;
    for (int n = 0; n < B; n++) {
        REAL dh_next[H] = {0};
        for (int t = T; t >= 1; t--) {
            REAL dz[H];
            for (int j = 0; j < H; j++)
                dz[j] = (1 - h[t][n][j] * h[t][n][j]) * (2 * h[t][n][j] + CARRY * dh_next[j]);
            for (int j = 0; j < H; j++) {
                db[j] += dz[j];
                for (int d = 0; d < D; d++) {
                    dW[d * H + j] += x[((t - 1) * B + n) * D + d] * dz[j];
                    dx[((t - 1) * B + n) * D + d] += dz[j] * W[d * H + j];
                }
            }
            for (int m = 0; m < H; m++) {
                dh_next[m] = 0;
                for (int j = 0; j < H; j++) {
                    dU[m * H + j] += h[t - 1][n][m] * dz[j];
                    dh_next[m] += dz[j] * U[m * H + j];
                }
            }
        }
        for (int j = 0; j < H; j++)
            dh0[n * H + j] = dh_next[j];
    }
    return loss;
}

REAL loss(const REAL *point) { return both(point, 0); }
void gradient(const REAL *point, REAL *d) { both(point, d); }
"""
SHAPES = {"W": (D, H), "U": (H, H), "b": (H,), "x": (T, B, D), "h0": (B, H)}


def compiled(tmp_path, source=ELMAN, **defines):
    return c_adapter.compile_library(source, directory=tmp_path, defines=defines)


@needs_compiler
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("carry", ["1", "0"])
def test_a_c_library_is_judged_in_its_own_precision(tmp_path, dtype, carry):
    library = compiled(tmp_path, REAL={"float64": "double", "float32": "float"}[dtype], CARRY=carry)
    result = check(c_adapter.from_library(library, shapes=SHAPES, dtype=dtype, point=arrays(dtype)), causes=False)
    if carry == "0":
        assert result.verdict is Verdict.DISAGREES, str(result)
    else:
        assert result.verdict is (Verdict.AGREES if dtype == "float64" else result.verdict), str(result)
        assert result.verdict is not Verdict.DISAGREES, str(result)
    assert not [kind for kind in kinds(result) if kind != "unclear"]


@needs_compiler
@pytest.mark.parametrize("seed", range(5))
def test_no_right_float32_library_disagrees(tmp_path, seed):
    library = compiled(tmp_path, REAL="float")
    result = check(c_adapter.from_library(library, shapes=SHAPES, dtype="float32", rng=seed), rng=seed)
    assert result.verdict is not Verdict.DISAGREES, str(result)


@needs_compiler
def test_one_function_for_both_and_other_arguments(tmp_path):
    source = """
        double fit(int n, const double *y, const double *point, double scale, double *gradient)
        {
            double loss = 0;
            for (int k = 0; k < n; k++) {
                const double off = point[k] - y[k];
                loss += scale * off * off;
                if (gradient) gradient[k] = 2 * scale * off;
            }
            return loss;
        }"""
    y = np.array([0.5, 1.0, -2.0])
    subject = c_adapter.from_library(
        compiled(tmp_path, source),
        shapes={"w": (3,)},
        loss="fit",
        gradient="fit",
        arguments=(3, y, "point", 0.25, "gradient"),
        point={"w": np.ones(3)},
    )
    assert subject.loss(subject.point) == 0.25 * (0.25 + 9)
    assert check(subject).verdict is Verdict.AGREES


@needs_compiler
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("d[0] += 2 * w[0]; d[1] += 2 * w[1];", "not-finite"),  # adds to what it should write
        ("d[0] = 2 * w[0];", "not-finite"),  # leaves an entry as it was
        ("d[0] = 2 * w[0]; d[1] = 2 * w[1]; ((double *)w)[1] = 0;", "changed-inputs"),
    ],
)
def test_what_a_c_gradient_does_to_memory_is_told(tmp_path, body, kind):
    source = "double loss(const double *w) { return w[0] * w[0] + w[1] * w[1]; }\n"
    source += f"void gradient(const double *w, double *d) {{ {body} }}"
    result = check(c_adapter.from_library(compiled(tmp_path, source), shapes={"w": (2,)}))
    assert kinds(result) == [kind]
    assert (result.verdict is Verdict.DISAGREES) == (kind == "not-finite")


@needs_compiler
@pytest.mark.parametrize(("index", "where"), [(2, "past the end"), (-1, "before the beginning")])
def test_a_write_outside_the_gradient_is_refused(tmp_path, index, where):
    source = "double loss(const double *w) { return w[0] + w[1]; }\n"
    source += f"void gradient(const double *w, double *d) {{ d[0] = d[1] = 1; d[{index}] = 1; }}"
    with pytest.raises(SubjectError, match=f"writes {where} of its vector of 2 entries"):
        check(c_adapter.from_library(compiled(tmp_path, source), shapes={"w": (2,)}))


@needs_compiler
def test_what_c_is_given_wrongly_is_told(tmp_path):
    library = compiled(tmp_path)
    for options, error, message in (
        ({"dtype": "float16"}, UsageError, "dtype='float16'; it takes 'float64' or 'float32'"),
        ({"loss": "cost"}, SubjectError, "exports no function cost"),
        ({"point": {"W": np.ones(2)}}, SubjectError, "the point has W; shapes= names W, U, b, x, h0"),
        ({"point": arrays() | {"b": np.ones(H + 1)}}, SubjectError, r"point\['b'\] has shape \(6,\)"),
        ({"point": arrays() | {"b": np.ones(H, dtype=int)}}, SubjectError, r"point\['b'\] holds integers"),
        ({"arguments": ("point", None)}, UsageError, "arguments= holds None; it takes 'point', 'gradient'"),
        ({"arguments": ("points",)}, UsageError, "arguments= holds 'points'"),
    ):
        with pytest.raises(error, match=message):
            c_adapter.from_library(library, shapes=SHAPES, **options)
    with pytest.raises(SubjectError, match=r"missing\.so cannot be loaded"):
        c_adapter.from_library(tmp_path / "missing.so", shapes=SHAPES)
    with pytest.raises(UsageError, match=r"does not compile:\n(?s:.*)error"):
        compiled(tmp_path, "double loss(const double *w) { return nonsense; }")
    with pytest.raises(UsageError, match=r"missing\.c is no file"):
        compiled(tmp_path, tmp_path / "missing.c")


def test_a_missing_compiler_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(MissingExtra, match="no C compiler: cc, gcc or clang is not on the path"):
        compiled(tmp_path)
    with pytest.raises(MissingExtra, match="no C compiler: tcc is not on the path"):
        c_adapter.compile_library(ELMAN, directory=tmp_path, compiler="tcc")
