"""Plausible wrong answers to the exercises of lesson 25: each must fail its check."""

import numpy as np


def _cost(V, T, L, C, D, layer=None, parameters=None, attention=12, each=6):
    layer = 12 * C * C + 2 * C if layer is None else layer
    n = (V + T) * C + L * layer + C if parameters is None else parameters
    return n, D * (each * n + attention * L * T * C)


def run_cost__counts_the_output_layer_again(V, T, L, C, D):
    """The embedding is the output layer."""
    return _cost(V, T, L, C, D, parameters=(2 * V + T) * C + L * (12 * C * C + 2 * C) + C)


def run_cost__leaves_the_embeddings_out(V, T, L, C, D):
    """As Kaplan et al. did."""
    return _cost(V, T, L, C, D, parameters=L * (12 * C * C + 2 * C) + C)


def run_cost__forgets_the_positions(V, T, L, C, D):
    """No vector for each position."""
    return _cost(V, T, L, C, D, parameters=V * C + L * (12 * C * C + 2 * C) + C)


def run_cost__forgets_the_norms(V, T, L, C, D):
    """The well-known 12 L C² alone."""
    return _cost(V, T, L, C, D, parameters=(V + T) * C + 12 * L * C * C)


def run_cost__has_a_last_norm_in_each_layer(V, T, L, C, D):
    """Three norms a layer."""
    return _cost(V, T, L, C, D, parameters=(V + T) * C + L * (12 * C * C + 3 * C))


def run_cost__has_biases(V, T, L, C, D):
    """GPT-2's own count."""
    return _cost(V, T, L, C, D, parameters=(V + T) * C + L * (12 * C * C + 13 * C) + 2 * C)


def run_cost__counts_the_forward_pass_alone(V, T, L, C, D):
    """2 operations for each parameter."""
    return _cost(V, T, L, C, D, attention=4, each=2)


def run_cost__forgets_attention(V, T, L, C, D):
    """6 N D only."""
    return _cost(V, T, L, C, D, attention=0)


def run_cost__counts_attention_once(V, T, L, C, D):
    """Without the factor of layers."""
    n, _ = _cost(V, T, L, C, D)
    return n, D * (6 * n + 12 * T * C)


def _fit(x, losses, floors, log=np.log, exp=np.exp, error=None, choose=min):
    found = []
    for E in floors:
        slope, intercept = np.polyfit(log(x), log(losses - E), 1)
        A, alpha = exp(intercept), -slope
        law = E + A / x**alpha
        found.append((error(losses, law, E) if error else np.sum(np.log(losses / law) ** 2), (E, A, alpha)))
    return tuple(map(float, choose(found)[1]))


def fit_power_law__has_no_floor(x, losses, floors):
    """A straight line through log L."""
    return _fit(x, losses, [0.0])


def fit_power_law__takes_the_highest_floor(x, losses, floors):
    """Whatever fits."""
    return _fit(x, losses, [max(floors)])


def fit_power_law__takes_the_last_floor(x, losses, floors):
    """Forgets to compare."""
    return _fit(x, losses, floors[-1:])


def fit_power_law__measures_above_the_floor(x, losses, floors):
    """Squares of log(L − E): each floor has another scale."""
    return _fit(x, losses, floors, error=lambda L, law, E: np.sum(np.log((L - E) / (law - E)) ** 2))


def fit_power_law__measures_differences(x, losses, floors):
    """L − law, where large losses count for more."""
    return _fit(x, losses, floors, error=lambda L, law, E: np.sum((L - law) ** 2))


def fit_power_law__does_not_square(x, losses, floors):
    """Positive and negative errors cancel."""
    return _fit(x, losses, floors, error=lambda L, law, E: np.sum(np.log(L / law)))


def fit_power_law__mixes_logarithms(x, losses, floors):
    """log10 there, exp back."""
    return _fit(x, losses, floors, log=np.log10)


def fit_power_law__returns_the_slope(x, losses, floors):
    """alpha with the wrong sign."""
    E, A, alpha = _fit(x, losses, floors)
    return E, A, -alpha


def fit_power_law__returns_the_logarithm(x, losses, floors):
    """log A for A."""
    E, A, alpha = _fit(x, losses, floors)
    return E, float(np.log(A)), alpha


def fit_power_law__swaps_A_and_alpha(x, losses, floors):
    """In another order."""
    E, A, alpha = _fit(x, losses, floors)
    return E, alpha, A


def fit_power_law__relies_on_the_order_of_runs(x, losses, floors):
    """Through the first and the last run alone."""
    ends = [0, -1]
    return _fit(x[ends], losses[ends], floors)


def best_size__is_chinchillas(A, alpha, B, beta, k, gamma, budget):
    """The formula for 6 N D, whatever a token costs."""
    return (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (budget / 6) ** (beta / (alpha + beta))


def best_size__forgets_gamma_in_the_derivative(A, alpha, B, beta, k, gamma, budget):
    """The inner derivative is missing."""
    return (alpha * A / (beta * B) * (budget / k) ** beta) ** (1 / (alpha + gamma * beta))


def best_size__forgets_gamma_in_the_power(A, alpha, B, beta, k, gamma, budget):
    """gamma as a factor only."""
    return (alpha * A / (gamma * beta * B) * (budget / k) ** beta) ** (1 / (alpha + beta))


def best_size__balances_the_terms(A, alpha, B, beta, k, gamma, budget):
    """Where the terms are equal, not their slopes."""
    return (A / B * (budget / k) ** beta) ** (1 / (alpha + gamma * beta))


def best_size__mixes_up_the_exponents(A, alpha, B, beta, k, gamma, budget):
    """alpha for beta."""
    return (beta * B / (gamma * alpha * A) * (budget / k) ** alpha) ** (1 / (beta + gamma * alpha))


def best_size__forgets_the_price(A, alpha, B, beta, k, gamma, budget):
    """Without k."""
    return (alpha * A / (gamma * beta * B) * budget**beta) ** (1 / (alpha + gamma * beta))


def best_size__returns_the_tokens(A, alpha, B, beta, k, gamma, budget):
    """D, not N."""
    n = (alpha * A / (gamma * beta * B) * (budget / k) ** beta) ** (1 / (alpha + gamma * beta))
    return budget / (k * n**gamma)


def best_size__tries_a_table(A, alpha, B, beta, k, gamma, budget):
    """The best of some sizes."""
    n = np.geomspace(1, 1e12, 2000)
    return float(n[np.argmin(A / n**alpha + B / (budget / (k * n**gamma)) ** beta)])


def _ring(arrays, exchange, add=True, gather=True, off=0):
    n = len(arrays)
    pieces = [array.reshape(n, -1).copy() for array in arrays]
    for i in range(n - 1):
        got = exchange([pieces[r][(r - i) % n] for r in range(n)])
        for r in range(n):
            place = (r - 1 - i + off) % n
            pieces[r][place] = got[r] + (pieces[r][place] if add else 0)
    for i in range(n - 1) if gather else ():
        got = exchange([pieces[r][(r + 1 - i) % n] for r in range(n)])
        for r in range(n):
            pieces[r][(r - i) % n] = got[r]
    return [each.ravel() for each in pieces]


def ring_all_reduce__stops_half_way(arrays, exchange):
    """The reduce-scatter alone: each rank has one piece of the sum."""
    return _ring(arrays, exchange, gather=False)


def ring_all_reduce__overwrites(arrays, exchange):
    """Passes on, and adds nothing."""
    return _ring(arrays, exchange, add=False)


def ring_all_reduce__adds_to_the_wrong_piece(arrays, exchange):
    """What comes is of the piece before."""
    return _ring(arrays, exchange, off=1)


def ring_all_reduce__sends_whole_arrays(arrays, exchange):
    """Right, with n / 2 times as many bytes."""
    sums, messages = [array.copy() for array in arrays], [array.copy() for array in arrays]
    for _ in range(len(arrays) - 1):
        messages = exchange(messages)
        sums = [one + other for one, other in zip(sums, messages, strict=True)]
    return sums


def ring_all_reduce__looks_at_the_others(arrays, exchange):
    """A sum of the list, and messages that nobody reads."""
    n = len(arrays)
    for _ in range(2 * (n - 1)):
        exchange([array.reshape(n, -1)[0] for array in arrays])
    return [sum(arrays[1:], arrays[0].copy()) for _ in arrays]


def ring_all_reduce__sends_nothing(arrays, exchange):
    """The sum of the list."""
    return [sum(arrays[1:], arrays[0].copy()) for _ in arrays]


def ring_all_reduce__averages(arrays, exchange):
    """Divides by the number of ranks."""
    return [each / len(arrays) for each in _ring(arrays, exchange)]


def ring_all_reduce__adds_in_place(arrays, exchange):
    """reshape is a view: the arrays change."""
    n = len(arrays)
    pieces = [array.reshape(n, -1) for array in arrays]
    for i in range(n - 1):
        got = exchange([pieces[r][(r - i) % n] for r in range(n)])
        for r in range(n):
            pieces[r][(r - 1 - i) % n] += got[r]
    for i in range(n - 1):
        got = exchange([pieces[r][(r + 1 - i) % n] for r in range(n)])
        for r in range(n):
            pieces[r][(r - i) % n] = got[r]
    return [each.ravel() for each in pieces]


def ring_all_reduce__works_for_two(arrays, exchange):
    """One round each way."""
    n = len(arrays)
    if n == 1:
        return [arrays[0].copy()]
    pieces = [array.reshape(n, -1).copy() for array in arrays]
    got = exchange([pieces[r][r % n] for r in range(n)])
    for r in range(n):
        pieces[r][(r - 1) % n] += got[r]
    got = exchange([pieces[r][(r + 1) % n] for r in range(n)])
    for r in range(n):
        pieces[r][r] = got[r]
    return [each.ravel() for each in pieces]


def ring_all_reduce__gives_back_one_array(arrays, exchange):
    """The sum, once."""
    return _ring(arrays, exchange)[0]
