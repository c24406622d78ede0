"""The kernels of `attention.py`: softmax(q kᵀ) v one tile at a time, so that no (T, S) array ever exists.

B batch, H query heads, G of which share a key head, T queries, S keys, D features of q and k, Dv of v. q, k, v, out
and their gradients come as rows (n, D) and `strides`, which say how many rows apart two batch elements, heads and
positions are. A thread copies the keys and values of one head to local scratch and then walks over tiles of at most
64 queries × 64 keys, which stay in its cache.
"""

from __future__ import annotations

import numpy as np

from ..kernel import kernel, prange
from .attention_tiles import (
    ALL,
    add_mask,
    add_product,
    add_transposed_product,
    compute_scores,
    drop_weights,
    exp_minus,
    fill,
    finish_softmax,
    load_queries,
    load_rows,
    new_tile,
    round_up,
    row_at,
    softmax_gradient,
    softmax_step,
    store_queries,
    store_rows,
    transpose,
)

TILE = 64
# Stands for "no score yet": finite, so that (score − maximum) is never ∞ − ∞, and below all that a softmax can see.
LOWEST = -3.4e38


@kernel
def query_tile_width(T):
    """T queries in tiles of equal width, at most TILE and a multiple of 16, the floats in a vector register."""
    n_tiles = (T + TILE - 1) // TILE
    return round_up((T + n_tiles - 1) // n_tiles, 16)


@kernel
def forward_head(out, lse, q, k, v, mask, strides, mask_strides, sizes, scale, causal, dropout, keep_scale, b, h, part):
    """Every n_parts-th query tile of one head."""
    _, H, G, T, S, n_parts = sizes
    out_strides, q_strides, k_strides, v_strides = strides[0], strides[1], strides[2], strides[3]
    D, Dv, width, one = round_up(q.shape[1], 4), round_up(v.shape[1], 4), query_tile_width(T), out.dtype.type(1)
    keys, values = new_tile(round_up(S, 4), D, out), new_tile(round_up(S, 4), Dv, out)
    q_rows, q_columns = new_tile(width, D, out), new_tile(D, width, out)
    out_rows, out_columns = new_tile(width, Dv, out), new_tile(Dv, width, out)
    tile, tile_lse = new_tile(TILE, width, out), np.empty(width, out.dtype)
    largest, total, shrink = np.empty(width, out.dtype), np.empty(width, out.dtype), np.empty(width, out.dtype)
    load_rows(keys, 0, k, row_at(k_strides, b, h // G, 0), k_strides[2], S, one)
    load_rows(values, 0, v, row_at(v_strides, b, h // G, 0), v_strides[2], S, one)

    for first in range(part * width, T, n_parts * width):
        end, last = min(first + width, T), first + width - 1
        load_queries(q_rows, q, q_strides, b, h, first, end, scale)
        transpose(q_columns, q_rows)
        fill(out_columns, 0)
        for j in range(width):
            largest[j], total[j] = LOWEST, 0

        n_keys = min(S, end) if causal else S
        for key in range(0, n_keys, TILE):
            key_end = min(key + TILE, round_up(n_keys, 4))
            edge = last + 1 - key if causal else ALL
            weights = tile[: key_end - key]
            compute_scores(weights, keys[key:key_end], q_columns, edge, S - key)
            if mask.size > 0:
                mask_start = row_at(mask_strides, b, h, end - 1) + key * mask_strides[3]
                add_mask(weights, edge, S - key, last + 1 - end, mask, mask_start, mask_strides)
            softmax_step(weights, edge, out_columns, largest, total, shrink)
            if dropout[0] > 0:
                drop_weights(weights, key, (b * H + h) * T + last, dropout, keep_scale)
            add_transposed_product(out_columns, values[key:key_end], weights)

        finish_softmax(out_columns, tile_lse, largest, total)
        transpose(out_rows, out_columns)
        store_queries(out, out_strides, b, h, first, end, out_rows, one)
        for t in range(first, end):
            lse[b * H + h, t] = tile_lse[last - t]


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
def row_products(inner, a, b):
    for j in range(a.shape[0]):
        total = a.dtype.type(0)
        for d in range(a.shape[1]):
            total += a[j, d] * b[j, d]
        inner[j] = total


@kernel
def backward_head(
    dq, dk, dv, dmask, dout, q, k, v, out, lse, mask, strides, mask_strides, sizes, scale, causal, dropout, keep_scale,
    b, key_head, part,
):  # fmt: skip
    """Every n_parts-th query tile of the G query heads that share one key head."""
    B, H, G, T, S, n_parts = sizes
    dq_strides, dk_strides, dv_strides, dout_strides = strides[0], strides[1], strides[2], strides[3]
    q_strides, k_strides, v_strides, out_strides = strides[4], strides[5], strides[6], strides[7]
    D, Dv, width, one = round_up(q.shape[1], 4), round_up(v.shape[1], 4), query_tile_width(T), out.dtype.type(1)
    keys, dkeys = new_tile(round_up(S, 4), D, out), new_tile(round_up(S, 4), D, out)
    values, dvalues = new_tile(round_up(S, 4), Dv, out), new_tile(round_up(S, 4), Dv, out)
    q_rows, q_columns, dq_columns = new_tile(width, D, out), new_tile(D, width, out), new_tile(D, width, out)
    out_rows, dout_rows, dout_columns = new_tile(width, Dv, out), new_tile(width, Dv, out), new_tile(Dv, width, out)
    tile, dtile = new_tile(TILE, width, out), new_tile(TILE, width, out)
    tile_lse, inner = np.empty(width, out.dtype), np.empty(width, out.dtype)
    load_rows(keys, 0, k, row_at(k_strides, b, key_head, 0), k_strides[2], S, one)
    load_rows(values, 0, v, row_at(v_strides, b, key_head, 0), v_strides[2], S, one)
    fill(dkeys, 0)
    fill(dvalues, 0)

    n_tiles = (T + width - 1) // width
    for item in range(part, G * n_tiles, n_parts):
        h, first = key_head * G + item // n_tiles, item % n_tiles * width
        end, last = min(first + width, T), first + width - 1
        load_queries(q_rows, q, q_strides, b, h, first, end, scale)
        load_queries(out_rows, out, out_strides, b, h, first, end, one)
        load_queries(dout_rows, dout, dout_strides, b, h, first, end, one)
        transpose(q_columns, q_rows)
        transpose(dout_columns, dout_rows)
        row_products(inner, out_rows, dout_rows)
        for j in range(width):
            tile_lse[j] = lse[b * H + h, last - j] if last - j < end else 0
        fill(dq_columns, 0)

        n_keys = min(S, end) if causal else S
        for key in range(0, n_keys, TILE):
            key_end = min(key + TILE, round_up(n_keys, 4))
            edge = last + 1 - key if causal else ALL
            weights, dscores = tile[: key_end - key], dtile[: key_end - key]
            compute_scores(weights, keys[key:key_end], q_columns, edge, S - key)
            if mask.size > 0:
                mask_start = row_at(mask_strides, b, h, end - 1) + key * mask_strides[3]
                add_mask(weights, edge, S - key, last + 1 - end, mask, mask_start, mask_strides)
            exp_minus(weights, edge, tile_lse)
            fill(dscores, 0)
            add_product(dscores, values[key:key_end], dout_columns, edge, ALL)
            if dropout[0] > 0:
                drop_weights(dscores, key, (b * H + h) * T + last, dropout, keep_scale)
            softmax_gradient(dscores, weights, edge, inner)
            if dropout[0] > 0:
                drop_weights(weights, key, (b * H + h) * T + last, dropout, keep_scale)
            add_product(dvalues[key:key_end], weights, dout_rows, ALL, edge)
            add_product(dkeys[key:key_end], dscores, q_rows, ALL, edge)
            add_transposed_product(dq_columns, keys[key:key_end], dscores)
            if dmask.size > 0:
                for i in range(min(key_end, S) - key):
                    for t in range(max(first, key + i) if causal else first, end):
                        dmask[(b * H + h) * T + t, key + i] = dscores[i, last - t]

        transpose(q_rows, dq_columns)
        store_queries(dq, dq_strides, part * B + b, h, first, end, q_rows, scale)
    store_rows(dk, row_at(dk_strides, part * B + b, key_head, 0), dk_strides[2], S, dkeys, 0, one)
    store_rows(dv, row_at(dv_strides, part * B + b, key_head, 0), dv_strides[2], S, dvalues, 0, one)


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
