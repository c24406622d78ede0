"""Plausible mistakes in the exercises of lesson 04."""

import numpy as np

from tinygrad_llm.kernel import kernel, prange


def matmul_backward__factors_in_the_wrong_order(dout, a, b):
    """Right shapes for square matrices only, and wrong values there too."""
    return b.T @ dout, dout @ a.T


def matmul_backward__no_transposition(dout, a, b):
    """As if a matrix were a number: out = a b, so da = dout b."""
    return dout @ b, a @ dout


def matmul_backward__divided_by_the_rows(dout, a, b):
    """A mean over the rows instead of the sum."""
    return dout @ b.T, a.T @ dout / len(a)


def count_misses__first_in_first_out(addresses, line_size, n_lines):
    """The oldest line has to go, although it may have just been read."""
    cached, misses = [], 0
    for address in addresses:
        line = address // line_size
        if line not in cached:
            misses += 1
            cached = [*cached, line][-n_lines:]
    return misses


def count_misses__each_address_is_a_line(addresses, line_size, n_lines):
    """Neighbours are not found in the line that was fetched for the first of them."""
    cached, misses = [], 0
    for address in addresses:
        if address in cached:
            cached.remove(address)
        else:
            misses += 1
        cached = [*cached, address][-n_lines:]
    return misses


def count_misses__endless_room(addresses, line_size, n_lines):
    """Nothing ever has to go."""
    return len({address // line_size for address in addresses})


@kernel(parallel=True)
def bias_gradient__race(db, dout):
    """Threads share out the rows, and all of them add to all of db."""
    for j in range(db.shape[0]):
        db[j] = 0
    for i in prange(dout.shape[0]):
        for j in range(db.shape[0]):
            db[j] += dout[i, j]


@kernel(parallel=True)
def bias_gradient__adds_to_what_was_there(db, dout):
    """Relies on zeros in db."""
    for j in prange(dout.shape[1]):
        for i in range(dout.shape[0]):
            db[j] += dout[i, j]


@kernel
def bias_gradient__serial(db, dout):
    """Right, but no loop is shared out."""
    for j in range(dout.shape[1]):
        total = dout.dtype.type(0)
        for i in range(dout.shape[0]):
            total += dout[i, j]
        db[j] = total


@kernel(parallel=True)
def weight_gradient__race(db, a, dout):
    """Threads share out the rows of dout: each adds to every element of db."""
    for k in range(db.shape[0]):
        for j in range(db.shape[1]):
            db[k, j] = 0
    for i in prange(a.shape[0]):
        for k in range(db.shape[0]):
            for j in range(db.shape[1]):
                db[k, j] += a[i, k] * dout[i, j]


@kernel(parallel=True)
def weight_gradient__down_the_columns(db, a, dout):
    """Right and free of races, but the inner loop reads a column of a and a column of dout."""
    for k in prange(a.shape[1]):
        for j in range(dout.shape[1]):
            total = a.dtype.type(0)
            for i in range(a.shape[0]):
                total += a[i, k] * dout[i, j]
            db[k, j] = total


@kernel(parallel=True)
def weight_gradient__other_way_round(db, a, dout):
    """The rows of db follow dout: doutᵀ a, which has the right shape only where K = N."""
    for k in prange(db.shape[0]):
        row = db[k]
        for j in range(row.shape[0]):
            row[j] = 0
        for i in range(a.shape[0]):
            for j in range(row.shape[0]):
                row[j] += dout[i, k] * a[i, j]


def weight_gradient__not_a_kernel(db, a, dout):
    """NumPy does it, and makes aᵀ as a view."""
    np.matmul(a.T, dout, out=db)
