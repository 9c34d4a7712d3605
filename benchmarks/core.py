"""The fused LSTM beside torch.nn.LSTM, a jitted JAX scan and a matrix per gate: forward, and all gradients.

    python benchmarks/core.py [--seconds S] [--threads N ...] [--shape T B D H] [--output FILE]

Each shape and type is one run in which everyone takes turns, warm, in a process of its own for each number of threads.
What is reported is the ratio of our time to theirs within a round: median and quartiles. Whoever is not installed is
left out. Writes ``benchmarks/core.md`` unless ``--output -`` is given; with ``--keep``, rows that this run does not
measure stay as that page has them, each with its own load.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SHAPES = ((5, 1, 3, 4), (20, 1, 50, 100), (50, 8, 32, 64), (100, 32, 64, 128), (100, 64, 256, 256), (1000, 1, 16, 32))
TYPES = ("float64", "float32")
ROUNDS, FEW = 9, 5  # rounds at least; rounds of the slow one at most
TURN = 0.01  # seconds that a turn takes at least: a short run is repeated, as it would be in use
PAUSE = 0.05  # seconds before a turn with several threads: idle threads of the one before wait busily for a while
MEANING = {
    "torch": "`torch.nn.LSTM` and `torch.autograd.grad`",
    "jax": "`jax.lax.scan` with one matrix product a step for all gates, `jax.vjp`, jitted as a whole",
    "by gate": "`bptt_check.lstm.forward` and `backward`, the readable equations: a matrix for each gate",
}
KEPT = "<!-- rows: "  # where the page holds its rows for the next run
Row = dict[str, Any]
Run = Callable[[], Any]


def limits(threads: int) -> dict[str, str]:
    """The environment in which every library keeps to so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    eigen = "true" if threads > 1 else "false"
    flags = f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}"
    return {**dict.fromkeys(names, str(threads)), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def contestants(
    shape: tuple[int, int, int, int], kind: str, threads: int
) -> tuple[dict[str, Run], Callable[[], Row], float]:
    """Everyone at one shape, forward and backward with all gradients; ours in parts; how far they differ."""
    from bptt_check import LSTM
    from bptt_check.lstm.backward import backward
    from bptt_check.lstm.forward import forward
    from bptt_check.lstm.variants import NP

    T, B, D, H = shape
    rng = np.random.default_rng(0)
    cell = LSTM("NP", D=D, H=H, dtype=kind)
    weights = cell.draw(rng)
    x, dl = rng.normal(size=(T, B, D)).astype(kind), rng.normal(size=(T, B, H)).astype(kind)
    h0, s0 = (rng.normal(size=(B, H)).astype(kind) for _ in range(2))

    def ours() -> Any:
        return cell.backward(cell.forward(weights, x, h0, s0), dl)

    def by_gate() -> Any:
        return backward(forward(weights, x, h0, s0, variant=NP), dl)

    runs: dict[str, Run] = {"ours": ours, "by gate": by_gate}
    grads = ours()
    gate_order = ("i", "f", "g", "o")
    W_x, W_h = (np.concatenate([weights[f"W_{k}{j}"] for k in gate_order]) for j in "xh")
    b = np.concatenate([weights[f"b_{k}"] for k in gate_order])
    expected = [grads.x, grads.h0, grads.s0]
    expected += [np.concatenate([grads.weights[f"W_{k}{j}"] for k in gate_order]) for j in "xh"]
    expected.append(np.concatenate([grads.weights[f"b_{k}"] for k in gate_order]))
    off = 0.0
    for name, make in (("torch", torch_run), ("jax", jax_run)):
        try:
            run = make(x, h0, s0, W_x, W_h, b, dl, threads)
        except ImportError:
            continue
        runs[name] = run
        pairs = zip(run(), expected, strict=True)
        off = max(off, *(float(np.abs(np.asarray(a).reshape(e.shape) - e).max() / np.abs(e).max()) for a, e in pairs))
    along = {name: np.ones_like(array) for name, array in {**weights, "x": x, "h0": h0, "s0": s0}.items()}

    def parts() -> Row:
        start = time.perf_counter()
        tape = cell.forward(weights, x, h0, s0)
        forward_took = time.perf_counter() - start
        (cell.tangent(tape, along) * dl).sum()
        return {"forward": forward_took, "tangent": time.perf_counter() - start - forward_took}

    return runs, parts, off


def torch_run(x: Any, h0: Any, s0: Any, W_x: Any, W_h: Any, b: Any, dl: Any, threads: int) -> Run:
    """dx, dh0, ds0, dW_x, dW_h, db by PyTorch."""
    import torch

    torch.set_num_threads(threads)
    model = torch.nn.LSTM(x.shape[2], h0.shape[1]).to(torch.from_numpy(x).dtype)
    with torch.no_grad():
        for name, array in (("weight_ih_l0", W_x), ("weight_hh_l0", W_h), ("bias_ih_l0", b), ("bias_hh_l0", 0 * b)):
            getattr(model, name).copy_(torch.from_numpy(array))
    xt, ht, st = (torch.from_numpy(a).requires_grad_() for a in (x, h0[None], s0[None]))
    upstream = torch.from_numpy(dl)
    of = (xt, ht, st, *model.parameters())

    def run() -> Any:
        outputs, _ = model(xt, (ht, st))
        return torch.autograd.grad(outputs, of, upstream)[:6]

    return run


def jax_run(x: Any, h0: Any, s0: Any, W_x: Any, W_h: Any, b: Any, dl: Any, threads: int) -> Run:
    """The same by JAX."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def outputs(x: Any, h0: Any, s0: Any, W_x: Any, W_h: Any, b: Any) -> Any:
        def step(state: Any, z_x: Any) -> Any:
            h, s = state
            i, f, g, o = jnp.split(z_x + h @ W_h.T, 4, axis=-1)
            s = jnp.tanh(g) * jax.nn.sigmoid(i) + s * jax.nn.sigmoid(f)
            h = jnp.tanh(s) * jax.nn.sigmoid(o)
            return (h, s), h

        return jax.lax.scan(step, (h0, s0), x @ W_x.T + b)[1]

    @jax.jit
    def gradients(given: Any, dl: Any) -> Any:
        h, back = jax.vjp(outputs, *given)
        return h, back(dl)

    given, upstream = tuple(jnp.asarray(a) for a in (x, h0, s0, W_x, W_h, b)), jnp.asarray(dl)

    def run() -> Any:
        return jax.block_until_ready(gradients(given, upstream))[1]

    return run


def measure(shape: tuple[int, int, int, int], kind: str, threads: int, seconds: float) -> Row:
    """Everyone in turns for about ``seconds``."""
    runs, parts, off = contestants(shape, kind, threads)
    times: dict[str, list[float]] = {name: [] for name in runs}
    tangents: list[float] = []
    repeats = {name: max(1, round(TURN / min(taken(run) for _ in range(3)))) for name, run in runs.items()}
    parts()
    start, k = time.perf_counter(), 0
    while k < ROUNDS or time.perf_counter() - start < seconds:
        order = list(runs)[k % len(runs) :] + list(runs)[: k % len(runs)]
        for name in order:
            if name != "by gate" or k < FEW:
                time.sleep(PAUSE * (threads > 1))
                times[name].append(taken(runs[name], repeats[name]))
        found = [parts() for _ in range(repeats["ours"])]
        tangents.append(sum(part["tangent"] for part in found) / sum(part["forward"] for part in found))
        k += 1
    row: Row = {"shape": shape, "kind": kind, "threads": threads, "rounds": k, "off": off, "load": os.getloadavg()[0]}
    row["ms"] = {name: 1e3 * float(np.median(each)) for name, each in times.items()}
    ours = times["ours"]
    row["ratio"] = {
        name: quartiles([a / b for a, b in zip(ours, each, strict=False)])
        for name, each in times.items()
        if name != "ours"
    }
    row["tangent"] = quartiles(tangents)
    return row


def taken(run: Run, repeats: int = 1) -> float:
    """Seconds that one of so many runs took on average."""
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def quartiles(values: list[float]) -> list[float]:
    return [float(q) for q in np.quantile(values, (0.25, 0.5, 0.75))]


def rows(threads: list[int], shapes: list[tuple[int, int, int, int]], seconds: float) -> Iterator[Row]:
    """One row for each shape, type and number of threads, from a process for each number of threads."""
    for count in threads:
        command = [sys.executable, __file__, "--worker", str(count), "--seconds", str(seconds)]
        for shape in shapes:
            command += ["--shape", *map(str, shape)]
        environment = {**os.environ, **limits(count)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("{"):
                    yield json.loads(line)
        if process.returncode:
            raise SystemExit(f"the process for {count} threads ended with {process.returncode}")


def section(found: list[Row], command: str) -> str:
    """The results as Markdown: what was run on which machine, then a table for each number of threads."""
    versions = [f"Python {platform.python_version()}"]
    for package in ("numpy", "torch", "jax"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} not installed")
    names = [name for name in MEANING if any(name in row["ratio"] for row in found)]
    lines = ["# Speed of the fused LSTM", "", f"`{command}`", ""]
    lines += [
        f"{platform.system()} {platform.machine()}, {processor()}, {os.cpu_count()} cores; {', '.join(versions)}."
    ]
    lines += ["Forward and backward pass of the common LSTM (NP) with the gradients of all weights, x, h0 and s0."]
    lines += [
        "Ratios are our time to theirs in the same round: median (first to third quartile); below 1 we are faster."
    ]
    lines += ["", *(f"- *{name}*: {MEANING[name]}" for name in names)]
    lines += [
        "- *tangent*: a directional derivative along all weights, x, h0 and s0 at once, in forward passes of ours"
    ]
    lines += [f"- largest relative difference of a gradient from theirs: {worst(found, 'float64')} in float64,"]
    lines += [f"  {worst(found, 'float32')} in float32"]
    for count in sorted({row["threads"] for row in found}):
        lines += ["", f"## {count} thread{'s' * (count > 1)}", ""]
        heads = "".join(f"ours ÷ {name} | " for name in names)
        lines += [f"| T, B, D, H | type | ours, ms | {heads}tangent | load |"]
        lines += ["|---|---|--:|" + "--:|" * (len(names) + 2)]
        for row in found:
            if row["threads"] == count:
                cells = [spread(row["ratio"][name]) if name in row["ratio"] else "" for name in names]
                start = f"| {', '.join(map(str, row['shape']))} | {row['kind']} | {row['ms']['ours']:.3g} | "
                lines.append(
                    start + "".join(f"{cell} | " for cell in cells) + f"{spread(row['tangent'])} | {row['load']:.1f} |"
                )
    lines += ["", f"{KEPT}{json.dumps(found)} -->"]
    return "\n".join(lines) + "\n"


def kept(page: Path) -> list[Row]:
    """The rows that an earlier run left in the page."""
    lines = page.read_text(encoding="utf-8").splitlines() if page.exists() else []
    return next((json.loads(line[len(KEPT) : -len(" -->")]) for line in lines if line.startswith(KEPT)), [])


def place(row: Row) -> tuple[int, int, int]:
    """Where a row stands on the page."""
    shape = tuple(row["shape"])
    return row["threads"], SHAPES.index(shape) if shape in SHAPES else len(SHAPES), TYPES.index(row["kind"])


def worst(found: list[Row], kind: str) -> str:
    return f"{max((row['off'] for row in found if row['kind'] == kind), default=0.0):.1e}"


def spread(three: list[float]) -> str:
    low, middle, high = (f"{value:.2f}" for value in three)
    return f"{middle} ({low}–{high})"


def processor() -> str:
    """The processor's name, where the system says it."""
    path = Path("/proc/cpuinfo")
    models = [line for line in path.read_text().splitlines() if line.startswith("model name")] if path.exists() else []
    return models[0].partition(":")[2].strip() if models else platform.processor() or "unknown processor"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="for each shape and type (5)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N", help="how many (1 and 2)")
    parser.add_argument("--shape", type=int, nargs=4, action="append", metavar="N", help="T B D H; may be repeated")
    parser.add_argument("--keep", action="store_true", help="keep what the page has and this run does not measure")
    parser.add_argument("--worker", type=int, metavar="N", help=argparse.SUPPRESS)
    parser.add_argument("--output", default=str(ROOT / "benchmarks" / "core.md"), help="a Markdown file, or - for none")
    args = parser.parse_args()
    shapes = [tuple(shape) for shape in args.shape or SHAPES]
    if args.worker:
        for shape in shapes:
            for kind in TYPES:
                print(json.dumps(measure(shape, kind, args.worker, args.seconds)), flush=True)
        return 0
    found = kept(Path(args.output)) if args.keep else []
    command = f"python benchmarks/core.py {' '.join(sys.argv[1:])}".strip()
    for row in rows(args.threads, shapes, args.seconds):
        found = sorted([*(old for old in found if place(old) != place(row)), row], key=place)
        ratios = ", ".join(f"{spread(three)} of {name}" for name, three in row["ratio"].items())
        print(f"{row['threads']} threads, {row['shape']}, {row['kind']}: {ratios}", flush=True)
        if args.output != "-":  # after each row: a run that is cut off leaves what it had found
            Path(args.output).write_text(section(found, command), encoding="utf-8")
    print(section(found, command))
    return 0


if __name__ == "__main__":
    sys.exit(main())
