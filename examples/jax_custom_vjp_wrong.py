"""h for s: the forget gate multiplies s(t-1), and its derivative is made with h(t-1)."""

from twin import changed

jax_custom_vjp = changed(
    "jax_custom_vjp.py",
    right="dg, di, df, do = i * ds, g * ds, s * ds,",
    wrong="dg, di, df, do = i * ds, g * ds, h * ds,",
)
subject = jax_custom_vjp.subject
