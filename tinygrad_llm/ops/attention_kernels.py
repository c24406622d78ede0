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
    add_product,
    add_to_panels,
    drop_weights,
    fill,
    flat,
    hide_scores,
    load_queries,
    load_rows,
    new_rows,
    round_up,
    row_at,
    row_products,
    set_product,
    softmax_gradient,
    softmax_step,
    store_column,
    store_panels,
)

# Stands for "no score yet": finite, so that (score − maximum) is never ∞ − ∞, and below all that a softmax can see.
LOWEST = -3.4e38
ALL = 1 << 30  # an edge that hides nothing


@kernel
def block_size(key, first, n_keys, causal):
    """How many keys from `key` on make the next tile: all see the same queries, but for a triangle of VECTOR."""
    if not causal:
        return min(WIDTH, n_keys - key)
    return min(min(WIDTH, first - key) if key < first else VECTOR, n_keys - key)


@kernel
def forward_head(out, lse, q, k, v, mask, strides, mask_strides, sizes, scale, causal, dropout, keep_scale, b, h, part):
    """Every n_parts-th query tile of one head."""
    _, H, G, T, S, n_parts = sizes
    out_strides, q_strides, k_strides, v_strides = strides[0], strides[1], strides[2], strides[3]
    zero, one, lowest = out.dtype.type(0), out.dtype.type(1), out.dtype.type(LOWEST)
    origin = np.int64(0)  # not a literal 0, for which Numba would compile each helper once more
    W, D, Dv = origin + WIDTH, round_up(q.shape[1], 4), round_up(v.shape[1], 4)
    all_keys = round_up(S + 3, 4)  # a tile may begin at any key, and is filled up to a multiple of 4
    keys, values = new_rows(all_keys, D, out), new_rows(all_keys, Dv, out)
    q_rows, q_columns = new_rows(round_up(D, WIDTH), W, out), flat(new_rows(D, W, out))
    weights, out_columns, statistics = (
        flat(new_rows(W, W, out)),
        flat(new_rows(Dv, W, out)),
        new_rows(origin + 3, W, out),
    )
    largest, total, shrink = statistics[0], statistics[1], statistics[2]
    load_rows(keys, k, row_at(k_strides, b, h // G, origin), k_strides[2], S, origin, one)
    load_rows(values, v, row_at(v_strides, b, h // G, origin), v_strides[2], S, origin, one)

    for end in range(T - part * WIDTH, 0, -n_parts * WIDTH):
        first, last = max(0, end - WIDTH), end - 1
        n_queries, width = end - first, round_up(end - first, VECTOR)
        load_queries(q_columns, q_rows, q, row_at(q_strides, b, h, last), -q_strides[2], n_queries, scale)
        fill(out_columns, zero)
        fill(largest, lowest)
        fill(total, zero)

        key, n_keys = origin, min(S, end) if causal else S
        while key < n_keys:
            n = block_size(key, first, n_keys, causal)
            n_rows = round_up(n, 4)
            columns, edge = min(width, round_up(end - key, VECTOR)) if causal else width, end - key if causal else ALL
            set_product(weights, keys[key : key + n_rows, :D], q_columns, columns)
            hide_scores(weights, n, n_rows, columns, edge)
            if mask.size > 0:
                mask_start = row_at(mask_strides, b, h, last) + key * mask_strides[3]
                add_mask(weights, n, min(columns, n_queries), mask, mask_start, mask_strides)
            softmax_step(weights, n_rows, columns, out_columns, largest, total, shrink)
            if dropout[0] > 0:
                drop_weights(weights, n_rows, columns, key, (b * H + h) * T + last, dropout, keep_scale)
            add_product(out_columns, values[key : key + n_rows, :Dv].T, weights, columns)
            key += n

        for j in range(n_queries):  # one that sees no key gets zeros, now and in backward
            lse[b * H + h, last - j] = largest[j] + np.log(total[j]) if total[j] != 0 else np.inf
            out_row = out[row_at(out_strides, b, h, last - j)]
            store_column(out_row, out_columns[j:], one / total[j] if total[j] != 0 else zero)


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
    origin, one = np.int64(0), out.dtype.type(1)  # origin: see forward_head
    W, D, Dv, all_keys = origin + WIDTH, round_up(q.shape[1], 4), round_up(v.shape[1], 4), round_up(S + 3, 4)
    n_panels, n_v_panels = round_up(D, WIDTH) // WIDTH, round_up(Dv, WIDTH) // WIDTH
    keys, values = new_rows(all_keys, D, out), new_rows(all_keys, Dv, out)
    dkeys, dvalues = new_rows(n_panels * all_keys, W, out), new_rows(n_v_panels * all_keys, W, out)
    q_rows, dout_rows = new_rows(n_panels * W, W, out), new_rows(n_v_panels * W, W, out)
    q_columns, dq_columns = flat(new_rows(D, W, out)), flat(new_rows(D, W, out))
    dout_columns, tile, dtile = flat(new_rows(Dv, W, out)), new_rows(W, W, out), new_rows(W, W, out)
    weights, dscores, statistics = flat(tile), flat(dtile), new_rows(origin + 2, W, out)
    tile_lse, inner = statistics[0], statistics[1]
    load_rows(keys, k, row_at(k_strides, b, key_head, origin), k_strides[2], S, origin, one)
    load_rows(values, v, row_at(v_strides, b, key_head, origin), v_strides[2], S, origin, one)

    n_tiles = (T + WIDTH - 1) // WIDTH
    for item in range(part, G * n_tiles, n_parts):
        h, end = key_head * G + item // n_tiles, T - item % n_tiles * WIDTH
        first, last = max(0, end - WIDTH), end - 1
        n_queries, width = end - first, round_up(end - first, VECTOR)
        out_start, dout_start = row_at(out_strides, b, h, last), row_at(dout_strides, b, h, last)
        load_queries(q_columns, q_rows, q, row_at(q_strides, b, h, last), -q_strides[2], n_queries, scale)
        load_queries(dout_columns, dout_rows, dout, dout_start, -dout_strides[2], n_queries, one)
        row_products(inner, out, out_start, -out_strides[2], dout, dout_start, -dout_strides[2], n_queries)
        for j in range(n_queries):
            tile_lse[j] = lse[b * H + h, last - j]
        fill(dq_columns, out.dtype.type(0))

        key, n_keys = origin, min(S, end) if causal else S
        while key < n_keys:
            n = block_size(key, first, n_keys, causal)
            n_rows = round_up(n, 4)
            columns, edge = min(width, round_up(end - key, VECTOR)) if causal else width, end - key if causal else ALL
            key_rows = keys[key : key + n_rows, :D]
            set_product(weights, key_rows, q_columns, columns)
            hide_scores(weights, n, n_rows, columns, edge)
            if mask.size > 0:
                mask_start = row_at(mask_strides, b, h, last) + key * mask_strides[3]
                add_mask(weights, n, min(columns, n_queries), mask, mask_start, mask_strides)
            set_product(dscores, values[key : key + n_rows, :Dv], dout_columns, columns)
            if dropout[0] > 0:
                drop_weights(dscores, n_rows, columns, key, (b * H + h) * T + last, dropout, keep_scale)
            softmax_gradient(weights, dscores, n_rows, columns, tile_lse, inner)
            if dropout[0] > 0:
                drop_weights(weights, n_rows, columns, key, (b * H + h) * T + last, dropout, keep_scale)
            add_product(dq_columns, key_rows.T, dscores, columns)
            add_to_panels(dkeys, key, dtile[:n_rows, :columns], q_rows, D)
            add_to_panels(dvalues, key, tile[:n_rows, :columns], dout_rows, Dv)
            if dmask.size > 0:
                store_mask_gradient(dmask, dtile, (b * H + h) * T + last, key, n, n_queries, edge)
            key += n

        for j in range(n_queries):
            store_column(dq[row_at(dq_strides, part * B + b, h, last - j)], dq_columns[j:], scale)
    store_panels(dk, row_at(dk_strides, part * B + b, key_head, origin), dk_strides[2], S, dkeys)
    store_panels(dv, row_at(dv_strides, part * B + b, key_head, origin), dv_strides[2], S, dvalues)


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
