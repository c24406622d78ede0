"""Plausible wrong answers to the exercises of lesson 13."""

import numpy as np


def inputs_and_targets__are_the_same(ids, seq_len):
    """No shift: a model that repeats has a loss of 0."""
    n = (len(ids) - 1) // seq_len
    x = ids[: n * seq_len].reshape(n, seq_len)
    return x, x.copy()


def inputs_and_targets__wrap_around(ids, seq_len):
    """np.roll makes the first token of all follow the last."""
    n = len(ids) // seq_len
    x, y = ids[: n * seq_len], np.roll(ids, -1)[: n * seq_len]
    return x.reshape(n, seq_len), y.reshape(n, seq_len)


def inputs_and_targets__shift_within_the_row(ids, seq_len):
    """Rows of seq_len + 1 tokens that do not overlap: one token in each row is never an input."""
    n = len(ids) // (seq_len + 1)
    rows = ids[: n * (seq_len + 1)].reshape(n, seq_len + 1)
    return rows[:, :-1], rows[:, 1:]


def inputs_and_targets__look_back(ids, seq_len):
    """Shifts the wrong way: the target is the token before."""
    n = (len(ids) - 1) // seq_len
    return ids[1 : n * seq_len + 1].reshape(n, seq_len), ids[: n * seq_len].reshape(n, seq_len)


def inputs_and_targets__drop_a_row_too_many(ids, seq_len):
    """Takes seq_len more tokens off than needed, to be safe."""
    n = max((len(ids) - 2) // seq_len, 0)
    return ids[: n * seq_len].reshape(n, seq_len), ids[1 : n * seq_len + 1].reshape(n, seq_len)


def count_parameters__no_last_norm(V, T, C, L, tied=True, bias=True):
    """Counts the norms in the blocks only."""
    norm = 2 * C if bias else C
    head = 0 if tied else V * C
    return (V + T) * C + L * (12 * C * C + (9 * C if bias else 0) + 2 * norm) + head


def count_parameters__norms_lose_their_weight(V, T, C, L, tied=True, bias=True):
    """Without biases it takes away the norms as well."""
    blocks = L * (12 * C * C + (13 * C if bias else 0))
    return (V + T) * C + blocks + (2 * C if bias else 0) + (0 if tied else V * C)


def count_parameters__biased_head(V, T, C, L, tied=True, bias=True):
    """Gives the untied last layer a bias."""
    norm = 2 * C if bias else C
    head = 0 if tied else V * C + V * bias
    return (V + T) * C + L * (12 * C * C + (9 * C if bias else 0) + 2 * norm) + norm + head


def count_parameters__ignores_tying(V, T, C, L, tied=True, bias=True):
    """Counts the shared table twice, always."""
    norm = 2 * C if bias else C
    return (2 * V + T) * C + L * (12 * C * C + (9 * C if bias else 0) + 2 * norm) + norm


def count_parameters__is_approximate(V, T, C, L, tied=True, bias=True):
    """The rule of thumb 12 L C², plus the table."""
    return (V + T) * C + 12 * L * C * C + (0 if tied else V * C)


def table_gradient__as_output_only(ids, table, positions, dlogits):
    """As if the inputs came from somewhere else."""
    return dlogits.T @ (table[ids] + positions)


def table_gradient__as_input_only(ids, table, positions, dlogits):
    """As if the last layer were frozen."""
    gradient = np.zeros_like(table)
    np.add.at(gradient, ids, dlogits @ table)
    return gradient


def table_gradient__repeated_ids_write_once(ids, table, positions, dlogits):
    """+= with an array of ids adds once per row."""
    gradient = dlogits.T @ (table[ids] + positions)
    gradient[ids] += dlogits @ table
    return gradient


def table_gradient__forgets_positions(ids, table, positions, dlogits):
    """x without the positions in it."""
    gradient = dlogits.T @ table[ids]
    np.add.at(gradient, ids, dlogits @ table)
    return gradient


def table_gradient__uses_the_new_table(ids, table, positions, dlogits):
    """Adds to the table it still reads."""
    x = table[ids] + positions
    before = table.copy()
    table += dlogits.T @ x
    np.add.at(table, ids, dlogits @ table)
    return table - before


def _in_chunks(x, W, y, rows, divisor, shift=True):
    loss, dx, dW = 0.0, np.empty_like(x), np.zeros_like(W)
    for start in range(0, len(x), rows):
        part, right = x[start : start + rows], y[start : start + rows]
        here, scores = np.arange(len(part)), part @ W.T
        if shift:
            scores -= scores.max(axis=1, keepdims=True)
        p = np.exp(scores)
        total = p.sum(axis=1)
        loss += (np.log(total) - scores[here, right]).sum() / divisor(len(part))
        ds = p / total[:, None]
        ds[here, right] -= 1
        ds /= divisor(len(part))
        dx[start : start + rows] = ds @ W
        dW += ds.T @ part
    return float(loss), dx, dW


def chunked_loss__divides_by_the_rows_of_a_round(x, W, y, rows):
    """A sum of means, instead of one mean."""
    return _in_chunks(x, W, y, rows, lambda n: n)


def chunked_loss__is_the_sum(x, W, y, rows):
    """Forgets the mean."""
    return _in_chunks(x, W, y, rows, lambda n: 1)


def chunked_loss__overflows(x, W, y, rows):
    """Does not subtract the maximum."""
    return _in_chunks(x, W, y, rows, lambda n: len(x), shift=False)


def chunked_loss__all_at_once(x, W, y, rows):
    """Right, but with all scores."""
    return _in_chunks(x, W, y, len(x), lambda n: len(x))


def chunked_loss__drops_the_rest(x, W, y, rows):
    """Whole rounds only."""
    whole = len(x) // rows * rows or len(x)
    loss, dx, dW = _in_chunks(x[:whole], W, y[:whole], rows, lambda n: len(x))
    return loss, np.concatenate([dx, np.zeros_like(x[whole:])]), dW


def chunked_loss__takes_onehot_from_a_unit_matrix(x, W, y, rows):
    """np.eye(V) has V × V numbers: more than all scores."""
    np.eye(len(W))[y[:rows]]
    return _in_chunks(x, W, y, rows, lambda n: len(x))


def chunked_loss__keeps_the_last_rounds_gradient(x, W, y, rows):
    """dW = instead of dW +=."""
    loss, dx, _ = _in_chunks(x, W, y, rows, lambda n: len(x))
    last = (len(x) - 1) // rows * rows
    _, _, dW = _in_chunks(x[last:], W, y[last:], rows, lambda n: len(x))
    return loss, dx, dW
