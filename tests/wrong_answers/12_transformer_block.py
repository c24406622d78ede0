"""Plausible wrong answers to the exercises of lesson 12: each must fail its check."""

import numpy as np


def _refuse(x, n_heads):
    if x.shape[-1] % n_heads:
        raise ValueError(f"{n_heads} heads do not divide {x.shape[-1]} features.")


def split_heads__reshapes_at_once(x, n_heads):
    """The right shape, but head 0 gets the first positions, not the first features."""
    _refuse(x, n_heads)
    B, T, C = x.shape
    return x.reshape(B, n_heads, T, C // n_heads)


def split_heads__deals_features_out_in_turn(x, n_heads):
    """Feature c goes to head c mod H."""
    _refuse(x, n_heads)
    B, T, C = x.shape
    return x.reshape(B, T, C // n_heads, n_heads).transpose(0, 3, 1, 2)


def split_heads__does_not_transpose(x, n_heads):
    """(B, T, H, D): the heads are there, but after the positions."""
    _refuse(x, n_heads)
    B, T, C = x.shape
    return x.reshape(B, T, n_heads, C // n_heads)


def split_heads__cuts_off_what_does_not_fit(x, n_heads):
    """Ten features in three heads of three: one feature is lost without a word."""
    B, T, C = x.shape
    D = C // n_heads
    return x[:, :, : n_heads * D].reshape(B, T, n_heads, D).transpose(0, 2, 1, 3)


def split_heads__leaves_the_refusal_to_numpy(x, n_heads):
    """NumPy's message names the shape of an array that the caller never saw."""
    B, T, C = x.shape
    return x.reshape(B, T, n_heads, C // n_heads).transpose(0, 2, 1, 3)


def dropout__does_not_scale(x, p, training, rng):
    """The mean falls to 1 − p of what it was."""
    if not training or p == 0:
        return x
    return np.where(rng.random(x.shape) < p, 0.0, x)


def dropout__keeps_with_probability_p(x, p, training, rng):
    """p is taken as the part to keep."""
    if not training or p == 0:
        return x
    return np.where(rng.random(x.shape) < p, x / p, 0.0)


def dropout__drops_when_not_training(x, p, training, rng):
    """Ignores `training`."""
    if p == 0:
        return x
    return np.where(rng.random(x.shape) < p, 0.0, x / max(1 - p, 1e-12))


def dropout__scales_when_not_training(x, p, training, rng):
    """The older kind, which scales down at the end."""
    if not training:
        return x * (1 - p)
    return np.where(rng.random(x.shape) < p, 0.0, x) if p else x


def dropout__divides_by_zero(x, p, training, rng):
    """With p = 1: 0 / 0."""
    if not training or p == 0:
        return x
    return x * (rng.random(x.shape) >= p) / (1 - p)


def dropout__draws_one_number_per_row(x, p, training, rng):
    """Whole rows are dropped together."""
    if not training or p == 0:
        return x
    return x * (rng.random((*x.shape[:-1], 1)) >= p) / max(1 - p, 1e-12)


def dropout__has_its_own_generator(x, p, training, rng):
    """Not the rng that was given: a run cannot be repeated."""
    if not training or p == 0:
        return x
    return np.where(np.random.default_rng(0).random(x.shape) < p, 0.0, x / max(1 - p, 1e-12))


def layer_norm__normalises_features(x, weight, bias, eps):
    """Over the vectors: batch norm."""
    centred = x - x.mean(axis=0)
    return centred / np.sqrt((centred**2).mean(axis=0) + eps) * weight + bias


def layer_norm__over_everything(x, weight, bias, eps):
    """One mean for all vectors."""
    centred = x - x.mean()
    return centred / np.sqrt((centred**2).mean() + eps) * weight + bias


def layer_norm__adds_eps_to_the_deviation(x, weight, bias, eps):
    """eps after the root."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / (np.sqrt((centred**2).mean(axis=-1, keepdims=True)) + eps) * weight + bias


def layer_norm__cancels(x, weight, bias, eps):
    """Mean of the squares minus square of the mean: nothing is left of it far from 0."""
    mean = x.mean(axis=-1, keepdims=True)
    variance = np.maximum((x**2).mean(axis=-1, keepdims=True) - mean**2, 0)
    with np.errstate(all="ignore"):
        return (x - mean) / np.sqrt(variance + eps) * weight + bias


def layer_norm__divides_by_one_less(x, weight, bias, eps):
    """The variance of a sample, with C − 1."""
    centred = x - x.mean(axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        return centred / np.sqrt((centred**2).sum(axis=-1, keepdims=True) / (x.shape[-1] - 1) + eps) * weight + bias


def layer_norm__forgets_the_bias(x, weight, bias, eps):
    """No shift."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps) * weight


def _parts(dout, x, weight, eps):
    centred = x - x.mean(axis=1, keepdims=True)
    r = 1 / np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps)
    return r, centred * r, dout * weight


def layer_norm_backward__takes_the_statistics_as_constants(dout, x, weight, eps):
    """Only the direct way: as if the mean and the variance did not depend on x."""
    r, x_hat, g = _parts(dout, x, weight, eps)
    return r * g, (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def layer_norm_backward__forgets_the_variance(dout, x, weight, eps):
    """Without the third term."""
    r, x_hat, g = _parts(dout, x, weight, eps)
    return r * (g - g.mean(axis=1, keepdims=True)), (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def layer_norm_backward__forgets_the_weight(dout, x, weight, eps):
    """dout in place of g."""
    r, x_hat, _ = _parts(dout, x, weight, eps)
    dx = r * (dout - dout.mean(axis=1, keepdims=True) - x_hat * (dout * x_hat).mean(axis=1, keepdims=True))
    return dx, (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def layer_norm_backward__averages_over_rows(dout, x, weight, eps):
    """dweight and dbias as means: right where there is one row."""
    r, x_hat, g = _parts(dout, x, weight, eps)
    dx = r * (g - g.mean(axis=1, keepdims=True) - x_hat * (g * x_hat).mean(axis=1, keepdims=True))
    return dx, (dout * x_hat).mean(axis=0), dout.mean(axis=0)


def layer_norm_backward__weights_its_own_gradient(dout, x, weight, eps):
    """dweight and dbias from g: the weight counts twice."""
    r, x_hat, g = _parts(dout, x, weight, eps)
    dx = r * (g - g.mean(axis=1, keepdims=True) - x_hat * (g * x_hat).mean(axis=1, keepdims=True))
    return dx, (g * x_hat).sum(axis=0), g.sum(axis=0)


def layer_norm_backward__takes_means_of_all_rows(dout, x, weight, eps):
    """One mean for all rows together."""
    r, x_hat, g = _parts(dout, x, weight, eps)
    return r * (g - g.mean() - x_hat * (g * x_hat).mean()), (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def layer_norm_backward__forgets_eps(dout, x, weight, eps):
    """r without eps."""
    r, x_hat, g = _parts(dout, x, weight, 1e-12)
    dx = r * (g - g.mean(axis=1, keepdims=True) - x_hat * (g * x_hat).mean(axis=1, keepdims=True))
    return dx, (dout * x_hat).sum(axis=0), dout.sum(axis=0)
