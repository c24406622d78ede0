"""Exercises of lesson 09. Replace each `raise NotImplementedError`, then: tinygrad-llm check 09

NumPy is enough for all of them, and none needs a loop over the text.
"""

import numpy as np


def count_pairs(ids: np.ndarray, vocab_size: int) -> np.ndarray:
    """How often each token is followed by each other: integers ids (N,) to an integer table (V, V).

    counts[v, w] is the number of places where w comes right after v. A text of one token, or none, has no pairs.
    No Python loop over the text: one of the check's texts has a million tokens. For ids = [0, 1, 0, 1] and V = 2:

        [[0, 2],     0 is followed by 1 twice
         [1, 0]]     1 is followed by 0 once
    """
    raise NotImplementedError


def perplexity(p: np.ndarray, ids: np.ndarray) -> float:
    """The perplexity of a bigram model on a text: p (V, V) with p[v, w] = p(w | v), and integers ids (N,), N ≥ 2.

    It is e^loss, where the loss is the mean of −ln p over the pairs of the text. If a pair has the probability 0, the
    perplexity is inf (NumPy warns of ln 0, which is all right here).
    For p = [[0.5, 0.5], [1, 0]] and ids = [0, 1, 0, 0] the pairs have 0.5, 1 and 0.5: the result is 4^(1/3) = 1.587.
    """
    raise NotImplementedError


def logit_gradient(counts: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The gradient of the loss in the logits, from the counted pairs alone: (V, V) and (V, V) to (V, V), float64.

    The model is p(· | v) = softmax(logits[v]). The loss is the mean of −ln p over all counted pairs, as F.cross_entropy
    would give it for the whole text. One row with the counts [3, 1] and the logits [0, 0], while the other row has no
    counts, gives [[−0.25, 0.25], [0, 0]]. Logits may be as large as 1000: do not overflow.
    """
    raise NotImplementedError


def next_token(logits: np.ndarray, temperature: float, u: float) -> int:
    """Draw a token: logits (V,), a temperature ≥ 0, and u, a random number with 0 ≤ u < 1, to an id from 0 to V − 1.

    The probabilities are softmax(logits / temperature). Think of them as pieces side by side on the line from 0 to 1,
    in the order of the ids: the result is the id whose piece holds u, where a piece holds its left end but not its
    right one. With the probabilities [0.25, 0.75], u = 0.1 gives 0; u = 0.25 and u = 0.9 give 1.
    At temperature 0 the result is the likeliest token, the first of them if there are several. A token with the logit
    −inf is never drawn. The sum of the probabilities may miss 1 by a rounding error; the result must be an id even so.
    """
    raise NotImplementedError
