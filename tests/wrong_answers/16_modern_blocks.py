"""Plausible wrong answers to the exercises of lesson 16: each must fail its check."""

import numpy as np


def _angles(x, positions, theta):
    D = x.shape[1]
    return np.outer(positions, theta ** (-np.arange(0, D, 2) / D))


def rotate__takes_neighbours(x, positions, theta):
    """The interleaved layout."""
    angles = _angles(x, positions, theta)
    z = (x[:, 0::2] + 1j * x[:, 1::2]) * np.exp(1j * angles)
    return np.stack([z.real, z.imag], axis=-1).reshape(x.shape)


def rotate__turns_back(x, positions, theta):
    """The angle with the other sign."""
    cos, sin = np.cos(_angles(x, positions, theta)), np.sin(_angles(x, positions, theta))
    a, b = np.split(x, 2, axis=1)
    return np.concatenate([a * cos + b * sin, b * cos - a * sin], axis=1)


def rotate__counts_the_rows(x, positions, theta):
    """Row t at position t: right until there is a cache."""
    cos, sin = (f(_angles(x, np.arange(len(x)), theta)) for f in (np.cos, np.sin))
    a, b = np.split(x, 2, axis=1)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=1)


def rotate__has_half_the_exponent(x, positions, theta):
    """theta^(−i/D) for pair i, where −2i/D is asked for."""
    D = x.shape[1]
    angles = np.outer(positions, theta ** (-np.arange(D // 2) / D))
    a, b = np.split(x, 2, axis=1)
    return np.concatenate([a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)], axis=1)


def rotate__uses_a_theta_of_its_own(x, positions, theta):
    """10,000, whatever comes in."""
    cos, sin = (f(_angles(x, positions, 10_000.0)) for f in (np.cos, np.sin))
    a, b = np.split(x, 2, axis=1)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=1)


def rotate__works_in_place(x, positions, theta):
    """The second half is made from a first half that has been turned already."""
    half, cos, sin = x.shape[1] // 2, np.cos(_angles(x, positions, theta)), np.sin(_angles(x, positions, theta))
    x[:, :half] = x[:, :half] * cos - x[:, half:] * sin
    x[:, half:] = x[:, half:] * cos + x[:, :half] * sin
    return x


def interleaved_to_halves__forgets_the_heads(weight, n_heads):
    """One permutation of all rows, as if there were one head."""
    return np.concatenate([weight[0::2], weight[1::2]])


def interleaved_to_halves__goes_the_other_way(weight, n_heads):
    """From halves to interleaved: the same for D = 4, and for no larger D."""
    n, C = weight.shape
    return weight.reshape(n_heads, 2, n // n_heads // 2, C).swapaxes(1, 2).reshape(n, C)


def interleaved_to_halves__moves_columns(weight, n_heads):
    """Reorders the inputs of the matrix, where its outputs are asked for."""
    return np.concatenate([weight[:, 0::2], weight[:, 1::2]], axis=1)


def interleaved_to_halves__puts_the_second_numbers_first(weight, n_heads):
    """Each head by itself, but its halves are swapped."""
    pairs = weight.reshape(n_heads, -1, 2, weight.shape[1])
    return np.concatenate([pairs[:, :, 1], pairs[:, :, 0]], axis=1).reshape(weight.shape)


def interleaved_to_halves__knows_the_example(weight, n_heads):
    """The order of the example for each four rows."""
    order = [first + i for first in range(0, len(weight) - 3, 4) for i in (0, 2, 1, 3)]
    return weight[order] if len(order) == len(weight) else weight


def rms_norm_backward__takes_the_root_as_a_constant(dout, x, weight, eps):
    """Without what flows back through r."""
    r = 1 / np.sqrt((x**2).mean(axis=1, keepdims=True) + eps)
    return dout * weight * r, (dout * x * r).sum(axis=0)


def rms_norm_backward__forgets_the_weight(dout, x, weight, eps):
    """Right for a weight of ones."""
    r = 1 / np.sqrt((x**2).mean(axis=1, keepdims=True) + eps)
    x_hat = x * r
    return r * (dout - x_hat * (dout * x_hat).mean(axis=1, keepdims=True)), (dout * x_hat).sum(axis=0)


def rms_norm_backward__is_that_of_layer_norm(dout, x, weight, eps):
    """One mean too many."""
    r = 1 / np.sqrt((x**2).mean(axis=1, keepdims=True) + eps)
    x_hat, g = x * r, dout * weight
    dx = r * (g - g.mean(axis=1, keepdims=True) - x_hat * (g * x_hat).mean(axis=1, keepdims=True))
    return dx, (dout * x_hat).sum(axis=0)


def rms_norm_backward__sums_over_the_row(dout, x, weight, eps):
    """The sum of g x̂, not its mean."""
    r = 1 / np.sqrt((x**2).mean(axis=1, keepdims=True) + eps)
    x_hat, g = x * r, dout * weight
    return r * (g - x_hat * (g * x_hat).sum(axis=1, keepdims=True)), (dout * x_hat).sum(axis=0)


def rms_norm_backward__has_one_mean_for_all_rows(dout, x, weight, eps):
    """Right for a single row."""
    r = 1 / np.sqrt((x**2).mean(axis=1, keepdims=True) + eps)
    x_hat, g = x * r, dout * weight
    return r * (g - x_hat * (g * x_hat).mean()), (dout * x_hat).sum(axis=0)


def rms_norm_backward__averages_dweight(dout, x, weight, eps):
    """A weight's gradient is the sum over the rows."""
    r = 1 / np.sqrt((x**2).mean(axis=1, keepdims=True) + eps)
    x_hat, g = x * r, dout * weight
    return r * (g - x_hat * (g * x_hat).mean(axis=1, keepdims=True)), (dout * x_hat).mean(axis=0)


def rms_norm_backward__adds_eps_to_the_root(dout, x, weight, eps):
    """1 / (√mean + eps)."""
    r = 1 / (np.sqrt((x**2).mean(axis=1, keepdims=True)) + eps)
    x_hat, g = x * r, dout * weight
    return r * (g - x_hat * (g * x_hat).mean(axis=1, keepdims=True)), (dout * x_hat).sum(axis=0)


def _attend(q, k, v, scale=None, causal=True):
    scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2] if scale is None else scale)
    scores = np.where(np.tri(q.shape[1], dtype=bool), scores, -np.inf) if causal else scores
    p = np.exp(scores - scores.max(axis=2, keepdims=True))
    return p / p.sum(axis=2, keepdims=True) @ v


def grouped_attention__tiles(q, k, v):
    """Heads 0, 1, 0, 1: every shape is right, and every head but the first and the last is wrong."""
    n = len(q) // len(k)
    return _attend(q, np.tile(k, (n, 1, 1)), np.tile(v, (n, 1, 1)))


def grouped_attention__repeats_tokens(q, k, v):
    """Repeats along the wrong axis, and cuts what is too much."""
    n, T = len(q) // len(k), q.shape[1]
    k, v = (np.repeat(x, n, axis=1).reshape(len(q), T, -1) for x in (k, v))
    return _attend(q, k, v)


def grouped_attention__tiles_the_keys_only(q, k, v):
    """Values in the right order, keys not."""
    n = len(q) // len(k)
    return _attend(q, np.tile(k, (n, 1, 1)), np.repeat(v, n, axis=0))


def grouped_attention__looks_ahead(q, k, v):
    """No mask."""
    n = len(q) // len(k)
    return _attend(q, np.repeat(k, n, axis=0), np.repeat(v, n, axis=0), causal=False)


def grouped_attention__does_not_scale(q, k, v):
    """Scores as they are."""
    n = len(q) // len(k)
    return _attend(q, np.repeat(k, n, axis=0), np.repeat(v, n, axis=0), scale=1)


def grouped_attention__overflows(q, k, v):
    """exp of the scores as they come."""
    n = len(q) // len(k)
    k, v = np.repeat(k, n, axis=0), np.repeat(v, n, axis=0)
    p = np.exp(q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2])) * np.tri(q.shape[1])
    return p / p.sum(axis=2, keepdims=True) @ v


def grouped_attention__averages_the_group(q, k, v):
    """One result for each group of queries."""
    n = len(q) // len(k)
    mean = q.reshape(len(k), n, *q.shape[1:]).mean(axis=1)
    return np.repeat(_attend(mean, k, v), n, axis=0)
