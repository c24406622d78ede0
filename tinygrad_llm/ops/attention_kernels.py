"""The kernels of `attention.py`: softmax(q kᵀ) v one tile at a time, so that no (T, S) array ever exists.

B batch, H query heads, G of which share a key head, T queries, S keys, D features of q and k, Dv of v. q, k, v, out
and their gradients come as rows (n, D) and `strides`, which say how many rows apart two batch elements, heads and
positions are. A thread copies the keys and values of one head to local scratch and then walks over tiles of at most
WIDTH queries × WIDTH keys, which stay in its cache.
"""

from __future__ import annotations

import numpy as np

from ..kernel import kernel, prange
from .attention_tiles import (
    VECTOR,
    WIDTH,
    add_mask,
    add_to_panels,
    drop_weights,
    fill,
    flat,
    hide_scores,
    load_panels,
    load_queries,
    new_rows,
    round_up,
    row_at,
    row_products,
    scale_rows,
    set_product,
    softmax_gradient,
    softmax_step,
    store_panels,
)

# Stands for "no score yet": finite, so that (score − maximum) is never ∞ − ∞, and below all that a softmax can see.
LOWEST = -3.4e38
ALL = 1 << 30  # an edge that hides nothing


@kernel
def forward_head(out, lse, q, k, v, mask, strides, mask_strides, sizes, scale, causal, dropout, keep_scale, b, h, part):
    """Every n_parts-th query tile of one head."""
    _, H, G, T, S, n_parts = sizes
    out_strides, q_strides, k_strides, v_strides = strides[0], strides[1], strides[2], strides[3]
    zero, one, lowest = out.dtype.type(0), out.dtype.type(1), out.dtype.type(LOWEST)
    origin = np.int64(0)  # not a literal 0, for which Numba would compile each helper once more
    W, everything, D, all_keys = origin + WIDTH, origin + ALL, round_up(q.shape[1], 4), round_up(S, 4)
    n_panels, n_v_panels = round_up(D, WIDTH) // WIDTH, round_up(v.shape[1], WIDTH) // WIDTH
    keys, values = new_rows(n_panels * all_keys, out), new_rows(n_v_panels * all_keys, out)
    q_rows, q_columns = new_rows(n_panels * W, out), flat(new_rows(D, out))
    tile, out_rows, statistics = new_rows(W, out), new_rows(n_v_panels * W, out), new_rows(origin + 3, out)
    weights, largest, total, shrink = flat(tile), statistics[0], statistics[1], statistics[2]
    load_panels(keys, k, row_at(k_strides, b, h // G, origin), k_strides[2], S, one)
    load_panels(values, v, row_at(v_strides, b, h // G, origin), v_strides[2], S, one)

    for end in range(T - part * WIDTH, 0, -n_parts * WIDTH):
        first, last = max(0, end - WIDTH), end - 1
        n_queries, width = end - first, round_up(end - first, VECTOR)
        load_queries(q_columns, q_rows, q, row_at(q_strides, b, h, last), -q_strides[2], n_queries, scale, weights)
        fill(flat(out_rows), zero)
        fill(largest, lowest)
        fill(total, zero)

        key, n_keys = origin, min(S, end) if causal else S
        while key < n_keys:
            n = min(W, n_keys - key)
            n_rows = round_up(n, 4)
            edge = end - key if causal else everything
            set_product(weights, keys, key, n_rows, q_columns, width, edge)
            hide_scores(weights, n, n_rows, width, edge)
            if mask.size > 0:
                mask_start = row_at(mask_strides, b, h, last) + key * mask_strides[3]
                add_mask(weights, n, n_queries, edge, mask, mask_start, mask_strides)
            softmax_step(weights, n_rows, width, edge, largest, total, shrink)
            scale_rows(out_rows, n_v_panels, shrink, n_queries)
            if dropout[0] > 0:
                drop_weights(weights, n_rows, width, edge, key, (b * H + h) * T + last, dropout, keep_scale)
            add_to_panels(out_rows, origin, tile[:n_rows, :width].T, values, key, v.shape[1], edge)
            key += n

        for j in range(n_queries):  # one that sees no key gets zeros, now and in backward
            lse[b * H + h, last - j] = largest[j] + np.log(total[j]) if total[j] != 0 else np.inf
            shrink[j] = one / total[j] if total[j] != 0 else zero
        scale_rows(out_rows, n_v_panels, shrink, n_queries)
        store_panels(out, row_at(out_strides, b, h, last), -out_strides[2], n_queries, out_rows, one)


@kernel(parallel=True)
def attention_forward(out, lse, q, k, v, mask, strides, mask_strides, sizes, scale, causal, dropout, keep_scale):
    """out = softmax(scale · q kᵀ + mask) v, and lse (B·H, T) = log Σ e^score, which is all that backward needs."""
    B, H, _, _, _, n_parts = sizes
    for task in prange(B * H * n_parts):
        b, h, part = task // n_parts // H, task // n_parts % H, task % n_parts
        forward_head(
            out, lse, q, k, v, mask, strides, mask_strides, sizes, scale, causal, dropout, keep_scale, b, h, part
        )


@kernel
def store_mask_gradient(dmask, dscores, last_row, key, n_keys, n_queries, edge):
    for i in range(n_keys):
        for j in range(min(n_queries, edge - i)):
            dmask[last_row - j, key + i] = dscores[i, j]


@kernel
def backward_head(
    dq, dk, dv, dmask, dout, q, k, v, out, lse, mask, strides, mask_strides, sizes, scale, causal, dropout, keep_scale,
    b, key_head, part,
):  # fmt: skip
    """Every n_parts-th query tile of the G query heads that share one key head."""
    B, H, G, T, S, n_parts = sizes
    dq_strides, dk_strides, dv_strides, dout_strides = strides[0], strides[1], strides[2], strides[3]
    q_strides, k_strides, v_strides, out_strides = strides[4], strides[5], strides[6], strides[7]
    origin, zero, one = np.int64(0), out.dtype.type(0), out.dtype.type(1)  # origin: see forward_head
    W, everything, all_keys = origin + WIDTH, origin + ALL, round_up(S, 4)
    D, Dv = round_up(q.shape[1], 4), round_up(v.shape[1], 4)
    n_panels, n_v_panels = round_up(D, WIDTH) // WIDTH, round_up(Dv, WIDTH) // WIDTH
    keys, values = new_rows(n_panels * all_keys, out), new_rows(n_v_panels * all_keys, out)
    dkeys, dvalues = new_rows(n_panels * all_keys, out), new_rows(n_v_panels * all_keys, out)
    q_rows, dq_rows = new_rows(n_panels * W, out), new_rows(n_panels * W, out)
    dout_rows, statistics = new_rows(n_v_panels * W, out), new_rows(origin + 2, out)
    q_columns, dout_columns = flat(new_rows(D, out)), flat(new_rows(Dv, out))
    tile, dtile, tile_lse, inner = new_rows(W, out), new_rows(W, out), statistics[0], statistics[1]
    weights, dscores = flat(tile), flat(dtile)
    for sums in (dkeys, dvalues, statistics):
        fill(flat(sums), zero)
    load_panels(keys, k, row_at(k_strides, b, key_head, origin), k_strides[2], S, one)
    load_panels(values, v, row_at(v_strides, b, key_head, origin), v_strides[2], S, one)

    n_tiles = (T + WIDTH - 1) // WIDTH
    for item in range(part, G * n_tiles, n_parts):
        h, end = key_head * G + item // n_tiles, T - item % n_tiles * WIDTH
        first, last = max(0, end - WIDTH), end - 1
        n_queries, width = end - first, round_up(end - first, VECTOR)
        out_start, dout_start = row_at(out_strides, b, h, last), row_at(dout_strides, b, h, last)
        load_queries(q_columns, q_rows, q, row_at(q_strides, b, h, last), -q_strides[2], n_queries, scale, weights)
        load_queries(dout_columns, dout_rows, dout, dout_start, -dout_strides[2], n_queries, one, weights)
        row_products(inner, out, out_start, -out_strides[2], dout, dout_start, -dout_strides[2], n_queries)
        for j in range(n_queries):
            tile_lse[j] = lse[b * H + h, last - j]
        fill(flat(dq_rows), zero)

        key, n_keys = origin, min(S, end) if causal else S
        while key < n_keys:
            n = min(W, n_keys - key)
            n_rows = round_up(n, 4)
            edge = end - key if causal else everything
            set_product(weights, keys, key, n_rows, q_columns, width, edge)
            hide_scores(weights, n, n_rows, width, edge)
            if mask.size > 0:
                mask_start = row_at(mask_strides, b, h, last) + key * mask_strides[3]
                add_mask(weights, n, n_queries, edge, mask, mask_start, mask_strides)
            set_product(dscores, values, key, n_rows, dout_columns, width, edge)
            if dropout[0] > 0:
                drop_weights(dscores, n_rows, width, edge, key, (b * H + h) * T + last, dropout, keep_scale)
            softmax_gradient(weights, dscores, n_rows, width, edge, tile_lse, inner)
            if dropout[0] > 0:
                drop_weights(weights, n_rows, width, edge, key, (b * H + h) * T + last, dropout, keep_scale)
            add_to_panels(dq_rows, origin, dtile[:n_rows, :width].T, keys, key, D, edge)
            add_to_panels(dkeys, key, dtile[:n_rows, :width], q_rows, origin, D, edge)
            add_to_panels(dvalues, key, tile[:n_rows, :width], dout_rows, origin, Dv, edge)
            if dmask.size > 0:
                store_mask_gradient(dmask, dtile, (b * H + h) * T + last, key, n, n_queries, edge)
            key += n

        store_panels(dq, row_at(dq_strides, part * B + b, h, last), -dq_strides[2], n_queries, dq_rows, scale)
    store_panels(dk, row_at(dk_strides, part * B + b, key_head, origin), dk_strides[2], S, dkeys, one)
    store_panels(dv, row_at(dv_strides, part * B + b, key_head, origin), dv_strides[2], S, dvalues, one)


@kernel(parallel=True)
def attention_backward(
    dq, dk, dv, dmask, dout, q, k, v, out, lse, mask, strides, mask_strides, sizes, scale, causal, dropout, keep_scale
):  # fmt: skip
    """Forward was out = softmax(scale · q kᵀ + mask) v. The weights are computed again, tile by tile, from lse.

    A task has all query heads of a key head, or a part of their tiles, so that nobody else adds to its dk and dv. Its
    gradients are those of batch element part · B + b, for the caller to sum. dmask (B·H·T, S) is zeros, or empty.
    """
    B, H, G, _, _, n_parts = sizes
    for task in prange(B * (H // G) * n_parts):
        b, key_head, part = task // n_parts // (H // G), task // n_parts % (H // G), task % n_parts
        backward_head(
            dq, dk, dv, dmask, dout, q, k, v, out, lse, mask, strides, mask_strides, sizes, scale, causal, dropout,
            keep_scale, b, key_head, part,
        )  # fmt: skip
