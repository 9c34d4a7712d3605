/* The LSTM of the "Simple LSTM" post in C: forward, squared-error loss, and backward through time by hand.
 *
 * REAL is double unless the compiler is told otherwise: cc -shared -fPIC -O2 -DREAL=float c_lstm.c -o c_lstm.so -lm
 *
 * All parameters lie in one vector theta, and all gradients in one of the same layout:
 *
 *     W  (4, H, D)  from x(t) to the gates g, i, f, o      h0  (B, H)
 *     U  (4, H, H)  from h(t-1) to the gates               s0  (B, H)
 *     b  (4, H)                                            x   (T, B, D)
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifndef REAL
#define REAL double
#endif

enum { G, I, F, O, GATES };

typedef struct {
    REAL *W, *U, *b, *h0, *s0, *x;
} Arrays;

static Arrays arrays(REAL *theta, int B, int D, int H)
{
    Arrays a;
    a.W = theta;
    a.U = a.W + GATES * H * D;
    a.b = a.U + GATES * H * H;
    a.h0 = a.b + GATES * H;
    a.s0 = a.h0 + B * H;
    a.x = a.s0 + B * H;
    return a;
}

static REAL sigmoid(REAL z)
{
    return 1 / (1 + exp(-z));
}

/* Number of entries of theta. */
int lstm_size(int T, int B, int D, int H)
{
    return GATES * H * (D + H + 1) + 2 * B * H + T * B * D;
}

/* z = W x + U h + b for every gate; a = its activation. x (D), h (H), a (GATES, H). */
static void gates(const Arrays *p, int D, int H, const REAL *x, const REAL *h, REAL *a)
{
    for (int k = 0; k < GATES; k++)
        for (int j = 0; j < H; j++) {
            const int row = k * H + j;
            REAL z = p->b[row];
            for (int d = 0; d < D; d++)
                z += p->W[row * D + d] * x[d];
            for (int m = 0; m < H; m++)
                z += p->U[row * H + m] * h[m];
            a[row] = k == G ? tanh(z) : sigmoid(z);
        }
}

/* Run the cell; h and s have T + 1 slots of (B, H), slot 0 the initial state; a (T, B, GATES, H). Returns the loss. */
static REAL forward(const Arrays *p, const REAL *y, int T, int B, int D, int H, REAL *h, REAL *s, REAL *a)
{
    const int BH = B * H;
    REAL loss = 0;
    memcpy(h, p->h0, BH * sizeof(REAL));
    memcpy(s, p->s0, BH * sizeof(REAL));
    for (int t = 1; t <= T; t++)
        for (int n = 0; n < B; n++) {
            REAL *gate = a + ((t - 1) * B + n) * GATES * H;
            const REAL *h_prev = h + (t - 1) * BH + n * H, *s_prev = s + (t - 1) * BH + n * H;
            gates(p, D, H, p->x + ((t - 1) * B + n) * D, h_prev, gate);
            for (int j = 0; j < H; j++) {
                const int at = t * BH + n * H + j;
                s[at] = gate[G * H + j] * gate[I * H + j] + s_prev[j] * gate[F * H + j];
                h[at] = s[at] * gate[O * H + j];
                const REAL error = h[at] - y[at - BH];
                loss += error * error;
            }
        }
    return loss;
}

/* One step of one sequence back. On entry dh, ds are what step t + 1 handed back, on return what t hands to t - 1. */
static void step_back(const Arrays *p, const Arrays *d, int D, int H, const REAL *x, const REAL *h_prev,
                      const REAL *s_prev, const REAL *s, const REAL *a, REAL *dx, REAL *dh, REAL *ds, REAL *dz)
{
    const REAL *g = a + G * H, *i = a + I * H, *f = a + F * H, *o = a + O * H;
    for (int j = 0; j < H; j++) {
        const REAL dsj = o[j] * dh[j] + ds[j];
        dz[G * H + j] = (1 - g[j] * g[j]) * i[j] * dsj;
        dz[I * H + j] = i[j] * (1 - i[j]) * g[j] * dsj;
        dz[F * H + j] = f[j] * (1 - f[j]) * s_prev[j] * dsj;
        dz[O * H + j] = o[j] * (1 - o[j]) * s[j] * dh[j];
        ds[j] = dsj * f[j];
    }
    memset(dh, 0, H * sizeof(REAL));
    for (int row = 0; row < GATES * H; row++) {
        d->b[row] += dz[row];
        for (int c = 0; c < D; c++) {
            d->W[row * D + c] += dz[row] * x[c];
            dx[c] += dz[row] * p->W[row * D + c];
        }
        for (int m = 0; m < H; m++) {
            d->U[row * H + m] += dz[row] * h_prev[m];
            dh[m] += dz[row] * p->U[row * H + m];
        }
    }
}

/* The loss against targets y (T, B, H); its gradient goes to gradient, shaped as theta, unless that is NULL. */
REAL lstm_loss(const REAL *theta, const REAL *y, REAL *gradient, int T, int B, int D, int H)
{
    const int BH = B * H;
    REAL *h = malloc((T + 1) * BH * sizeof(REAL)), *s = malloc((T + 1) * BH * sizeof(REAL));
    REAL *a = malloc(T * BH * GATES * sizeof(REAL)), *dz = malloc(GATES * H * sizeof(REAL));
    const Arrays p = arrays((REAL *)theta, B, D, H);
    const REAL loss = forward(&p, y, T, B, D, H, h, s, a);
    if (gradient) {
        memset(gradient, 0, lstm_size(T, B, D, H) * sizeof(REAL));
        const Arrays d = arrays(gradient, B, D, H);
        for (int t = T; t >= 1; t--)
            for (int n = 0; n < B; n++) {
                const int now = t * BH + n * H, before = (t - 1) * BH + n * H, x = ((t - 1) * B + n) * D;
                for (int j = 0; j < H; j++)
                    d.h0[n * H + j] += 2 * (h[now + j] - y[before + j]);
                step_back(&p, &d, D, H, p.x + x, h + before, s + before, s + now, a + before * GATES, d.x + x,
                          d.h0 + n * H, d.s0 + n * H, dz);
            }
    }
    free(h), free(s), free(a), free(dz);
    return loss;
}
