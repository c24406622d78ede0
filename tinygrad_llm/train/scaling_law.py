"""A scaling law: how far a model's loss falls with its size and with the text that it reads.

    L(N, D) = E + A / N^α + B / D^β         "sum": Hoffmann et al. 2022, equation 2
    L(N, D) = (A / N^α + B / D^β)^γ         "coupled": as Kaplan et al. 2020, equation 1.5, where β is 1

N parameters, D tokens trained on, L the held-out loss in nats per token. A / N^α is what a model of N parameters cannot
hold, and B / D^β what it could hold but has not read yet. In the sum twice the text helps models of all sizes alike,
and E is what no model can guess. Coupled, it helps large models more: of a small one's loss most is not the text's.
Small runs are too far from E to tell it; which form is better, `best_scaling_law` finds out on the runs themselves.

N counts all parameters, also the token embedding's, which are most of a small model: as the output layer they take part
in each prediction. (Kaplan et al. leave them out; on the embedded corpus that fits no better.)

    fit = fit_scaling_law(n_parameters, n_tokens, losses, rng=np.random.default_rng(0))
    print(fit.predict(2e6, 1e8))        # 3.214 (95 % interval 3.150 to 3.287)

The fit minimises the Huber loss of log L (Hoffmann et al., section 3.3) by Levenberg and Marquardt's steps (Nocedal and
Wright 2006, section 10.3). All its starts, and all resamples of the bootstrap, take theirs together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from ..evaluate.intervals import Interval

FORMS = {"sum": ("E", "A", "alpha", "B", "beta"), "coupled": ("A", "alpha", "B", "beta", "gamma")}  # their unknowns
N_UNKNOWN, EXPONENTS = 5, (0.02, 2.0)  # exponents: the lowest and the highest
HUBER = 0.01  # relative errors beyond it count linearly; 0.001 in the paper, which had 400 runs and little noise
BEYOND = 0.014  # checks of 1.8 to 3.5 times the compute were off by this (root mean square of 4), rehearsals by a half
N_STEPS, N_STALLED = 300, 8  # at most so many steps; or until none has lowered any cost so many times


@dataclass(frozen=True)
class ScalingLaw:
    """L(N, D) = E + (A / N^alpha + B / D^beta)^gamma. The numbers may be arrays of one shape: many laws at once."""

    E: float | np.ndarray
    A: float | np.ndarray
    alpha: float | np.ndarray
    B: float | np.ndarray
    beta: float | np.ndarray
    gamma: float | np.ndarray = 1.0

    def loss(self, n_parameters: float | np.ndarray, n_tokens: float | np.ndarray) -> float | np.ndarray:
        """
        >>> round(ScalingLaw(E=1.69, A=406.4, alpha=0.34, B=410.7, beta=0.28).loss(70e9, 1.4e12), 3)    # Chinchilla
        1.937
        """
        return self.E + (self.A / n_parameters**self.alpha + self.B / n_tokens**self.beta) ** self.gamma

    def optimal(self, compute: float) -> tuple[float, float]:
        """N and D with the lowest loss for so many floating-point operations, at 6 N D: two for each parameter and
        token in the forward pass, four in the backward pass (Hoffmann et al., equation 4; E and gamma do not matter).

        >>> law = ScalingLaw(E=1.69, A=400.0, alpha=0.5, B=400.0, beta=0.5)
        >>> [round(each) for each in law.optimal(6e12)]             # alike in N and D
        [1000000, 1000000]
        """
        ratio = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        n_parameters = ratio * (compute / 6) ** (self.beta / (self.alpha + self.beta))
        return n_parameters, compute / 6 / n_parameters


@dataclass(frozen=True)
class ScalingFit:
    """A law with what it was fitted to, and the laws of the bootstrap's resamples."""

    form: str  # one of `FORMS`
    law: ScalingLaw
    n_parameters: np.ndarray  # (R,) of each run
    n_tokens: np.ndarray  # (R,)
    losses: np.ndarray  # (R,)
    resampled: ScalingLaw  # of arrays (S,)
    noise: np.ndarray  # (S,) one draw for each resample of how far a new run is off, in log L

    @property
    def names(self) -> tuple[str, ...]:
        """Of the numbers that were fitted."""
        return FORMS[self.form]

    @property
    def residuals(self) -> np.ndarray:
        """log L measured − log L fitted, (R,): 0.01 is one per cent."""
        return np.log(self.losses) - np.log(self.law.loss(self.n_parameters, self.n_tokens))

    @property
    def spread(self) -> float:
        """Standard deviation of a run around the law, in log L; the five fitted numbers are allowed for."""
        return float(np.sqrt(np.sum(self.residuals**2) / (len(self.losses) - N_UNKNOWN)))

    def interval(self, name: str, confidence: float = 0.95) -> Interval:
        """Of one of `names`. Raises ValueError for another."""
        if name not in self.names:
            raise ValueError(f"this scaling law has {', '.join(self.names)}, no {name!r}")
        return _interval(getattr(self.law, name), getattr(self.resampled, name), confidence)

    @cached_property
    def rehearsal(self) -> float:
        """How far the law is off where it is fitted to the cheaper runs alone and foretells the dearest quarter: root
        mean square, in log L. 0 where too few runs or sizes would be left to fit.

        Intervals tell of noise, not of a law of the wrong form; this does.
        """
        order = np.argsort(self.n_parameters * self.n_tokens)
        cheaper, dearest = np.split(order, [len(order) - max(len(order) // 4, 1)])
        columns = self.n_parameters, self.n_tokens, self.losses
        try:
            few, rng = [each[cheaper] for each in columns], np.random.default_rng(0)
            fit = fit_scaling_law(*few, rng=rng, n_resamples=1, form=self.form)
        except ValueError:
            return 0.0
        foretold = fit.law.loss(self.n_parameters[dearest], self.n_tokens[dearest])
        return float(np.sqrt(np.mean(np.log(self.losses[dearest] / foretold) ** 2)))

    def predict(self, n_parameters: float, n_tokens: float, confidence: float = 0.95, beyond: bool = False) -> Interval:
        """The loss of one new run: uncertain are the law, and how far a run is off the law, which is the others'
        `spread`; or where it is `beyond` all of them, the `rehearsal` or `BEYOND` if that is more."""
        off = max(self.spread, self.rehearsal, BEYOND) if beyond else self.spread
        wider = off / self.spread if self.spread > 0 else 1.0
        losses = self.resampled.loss(n_parameters, n_tokens) * np.exp(wider * self.noise)
        return _interval(self.law.loss(n_parameters, n_tokens), losses, confidence)

    def warnings(self) -> list[str]:
        """What the runs could not tell, in sentences; empty where they told all."""
        found = []
        for name, what in (("alpha", "sizes"), ("beta", "numbers of tokens")):
            # far out, where only one of the two is short, the loss (less E) falls by this power of it
            powers = [getattr(law, name) * law.gamma for law in (self.law, self.resampled)]
            power, of = _interval(*powers, 0.95), name if self.form == "sum" else f"{name} · gamma"
            if power.high - power.low > 0.75 * power.value:
                found.append(
                    f"{of} may be anything from {power.low:.2f} to {power.high:.2f}: the runs have too few {what}, or "
                    "too like ones, to tell it; trust the law near its runs only"
                )
        return found


def _interval(value: float, resampled: np.ndarray, confidence: float) -> Interval:
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(value), float(low), float(high), confidence, resampled)


def fit_scaling_law(
    n_parameters: np.ndarray,
    n_tokens: np.ndarray,
    losses: np.ndarray,
    *,
    rng: np.random.Generator,
    n_resamples: int = 500,
    form: str = "sum",
) -> ScalingFit:
    """Fit one of `FORMS` to runs of `n_parameters` (R,), `n_tokens` (R,) and held-out `losses` (R,).

    The bootstrap draws residuals anew rather than runs, for the grid was chosen and is no sample: each resample is the
    law's own losses with a drawn residual on each. Residuals are too small, since five numbers were fitted to them, and
    how much too small is uncertain with few runs: so they are scaled by √(R / χ²), with χ² drawn for R − 5.
    Raises ValueError for fewer than 7 runs, or 3 sizes, or 3 numbers of tokens; arrays of unequal length; and numbers
    that are not finite and above 0; or another form. TypeError without a generator.
    """
    if form not in FORMS:
        raise ValueError(f"a scaling law's form is {' or '.join(FORMS)}, not {form!r}")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"fit_scaling_law needs rng=, a np.random.Generator, not {rng!r}")
    N, D, L = _checked(n_parameters, n_tokens, losses)
    n, d, y = np.log(N), np.log(D), np.log(L)
    middle = n.mean(), d.mean()  # around it A and B are less entangled with the exponents
    n, d = n - middle[0], d - middle[1]
    tried, costs = _minimise(_starts(L.min(), form), n, d, y[None], form)
    best = tried[np.argmin(costs)]
    fitted = _log_loss(best[None], n, d, form)[0][0]

    n_free = len(y) - N_UNKNOWN
    residuals = (y - fitted) - (y - fitted).mean()
    shape = (n_resamples, 1)
    scale = np.sqrt(len(y) / rng.chisquare(n_free, shape))  # √(R / (R − 5)) · √((R − 5) / χ²)
    drawn = rng.choice(residuals, (n_resamples, len(y) + 1)) * scale  # the last one is for the new run
    start = best.copy()
    start[[2, 4]] = np.clip(best[[2, 4]], -3, 3)  # where an exponent is at its bound there is no slope to leave it by
    resampled, _ = _minimise(np.tile(start, shape), n, d, fitted + drawn[:, :-1], form)
    laws = [_law(theta, *middle, form) for theta in (best, resampled.T)]
    return ScalingFit(form, laws[0], N, D, L, laws[1], drawn[:, -1])


def best_scaling_law(
    n_parameters: np.ndarray, n_tokens: np.ndarray, losses: np.ndarray, *, rng: np.random.Generator
) -> ScalingFit:
    """In the form that foretells the dearest quarter better from the others, or where these are too few for that, is
    nearer to all. Raises as `fit_scaling_law` does."""
    fits = [fit_scaling_law(n_parameters, n_tokens, losses, rng=rng, form=form) for form in FORMS]
    return min(fits, key=lambda fit: (fit.rehearsal, fit.spread))


def _checked(n_parameters, n_tokens, losses) -> list[np.ndarray]:
    arrays = [np.asarray(each, np.float64).ravel() for each in (n_parameters, n_tokens, losses)]
    if len({len(each) for each in arrays}) > 1:
        lengths = ", ".join(str(len(each)) for each in arrays)
        raise ValueError(f"a scaling law needs size, number of tokens and loss of each run, not {lengths} of them")
    for name, each in zip(("numbers of parameters", "numbers of tokens", "losses"), arrays, strict=True):
        if not (np.isfinite(each) & (each > 0)).all():
            raise ValueError(f"the {name} must be finite and above 0, not {each[~(np.isfinite(each) & (each > 0))][0]}")
    for what, wanted, there in (
        ("runs", N_UNKNOWN + 2, len(arrays[0])),
        ("sizes", 3, len(np.unique(arrays[0]))),
        ("numbers of tokens", 3, len(np.unique(arrays[1]))),
    ):
        if there < wanted:
            raise ValueError(f"a scaling law has {N_UNKNOWN} unknowns and needs at least {wanted} {what}, not {there}")
    return arrays


def _starts(lowest_loss: float, form: str) -> np.ndarray:
    """(S, 5): E a part of the lowest loss, or gamma, the rest from size and text by different shares, and exponents."""
    starts = []
    for part, share, alpha, beta in product((0.2, 0.8), (0.2, 0.8), (0.2, 0.8), (0.2, 0.8)):
        if form == "sum":
            first, rest = np.log(part * lowest_loss), np.log((1 - part) * lowest_loss)
        else:
            first, rest = np.log(part), np.log(lowest_loss) / part
        starts.append([first, rest + np.log(share), _to_free(alpha), rest + np.log(1 - share), _to_free(beta)])
    return np.array(starts)


def _minimise(
    theta: np.ndarray, n: np.ndarray, d: np.ndarray, y: np.ndarray, form: str
) -> tuple[np.ndarray, np.ndarray]:
    """Levenberg and Marquardt's steps from each start: theta (S, 5), runs n, d (R,), targets y (S, R) or (1, R).

    Where a step does not lower the cost it is not taken, and the next one is shorter and nearer to the gradient.
    Returns theta (S, 5) and the costs (S,).
    """
    damping = np.full(len(theta), 1e-2)
    fitted, jacobian = _log_loss(theta, n, d, form)
    cost, n_stalled = _huber(y - fitted), 0
    for _ in range(N_STEPS):
        residuals = y - fitted
        weighted = jacobian * np.minimum(1, HUBER / np.maximum(np.abs(residuals), 1e-300))[..., None]  # (S, R, 5)
        gradient = np.einsum("srp,sr->sp", weighted, residuals)
        curvature = np.einsum("srp,srq->spq", weighted, jacobian)
        diagonal = np.einsum("spp->sp", curvature)
        diagonal += damping[:, None] * diagonal + 1e-12  # in place; an E of 0 has no slope at all
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        new = theta + np.clip(step, -2, 2)
        new_fitted, new_jacobian = _log_loss(new, n, d, form)
        new_cost = _huber(y - new_fitted)
        better = new_cost < cost
        n_stalled = 0 if (new_cost < (1 - 1e-7) * cost).any() else n_stalled + 1
        theta, fitted = (np.where(better[:, None], *pair) for pair in ((new, theta), (new_fitted, fitted)))
        jacobian, cost = np.where(better[:, None, None], new_jacobian, jacobian), np.where(better, new_cost, cost)
        damping = np.clip(damping * np.where(better, 0.2, 5.0), 1e-12, 1e12)
        if n_stalled >= N_STALLED:
            break
    return theta, cost


def _log_loss(theta: np.ndarray, n: np.ndarray, d: np.ndarray, form: str) -> tuple[np.ndarray, np.ndarray]:
    """log L of each run (S, R), and its derivative by each unknown (S, R, 5)."""
    first, a, free_alpha, b, free_beta = theta.T[..., None]  # (S, 1) each; the first is log E or log gamma
    (alpha, dalpha), (beta, dbeta) = _exponent(free_alpha), _exponent(free_beta)
    lacking = np.stack(np.broadcast_arrays(a - alpha * n, b - beta * d))  # (2, S, R)
    together = np.logaddexp.reduce(lacking, axis=0)
    if form == "sum":
        total = np.logaddexp(first, together)
        by_first, shares = np.exp(first - total), np.exp(lacking - total)
    else:
        gamma = np.exp(first)
        total = by_first = gamma * together
        shares = gamma * np.exp(lacking - together)
    derivative = [by_first, shares[0], -shares[0] * n * dalpha, shares[1], -shares[1] * d * dbeta]
    return total, np.stack(derivative, axis=-1)


def _exponent(free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An unbounded number as an exponent within bounds, and the derivative."""
    low, high = EXPONENTS
    share = 1 / (1 + np.exp(-np.clip(free, -30, 30)))
    return low + (high - low) * share, (high - low) * share * (1 - share)


def _to_free(exponent: float) -> float:
    low, high = EXPONENTS
    return float(np.log((exponent - low) / (high - exponent)))


def _huber(residuals: np.ndarray) -> np.ndarray:
    """Σ r² / 2, and beyond HUBER a straight line: (S, R) -> (S,)."""
    size = np.abs(residuals)
    return np.where(size <= HUBER, size**2 / 2, HUBER * (size - HUBER / 2)).sum(axis=1)


def _law(theta: np.ndarray, middle_n: float, middle_d: float, form: str) -> ScalingLaw:
    """theta (5,) or (5, S), with N and D counted from the middle of the runs."""
    (alpha, _), (beta, _), first = _exponent(theta[2]), _exponent(theta[4]), np.exp(theta[0])
    A, B = np.exp(theta[1] + alpha * middle_n), np.exp(theta[3] + beta * middle_d)
    return ScalingLaw(first, A, alpha, B, beta) if form == "sum" else ScalingLaw(0.0, A, alpha, B, beta, first)
