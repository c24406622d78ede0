"""Exercises of lesson 21: cross-attention with padding, smoothed labels, BLEU, and the likeliest text of all.

tinygrad-llm check 21
"""

from collections.abc import Callable

import numpy as np


def cross_attention(
    x: np.ndarray,
    source: np.ndarray,
    is_token: np.ndarray,
    w_query: np.ndarray,
    w_key: np.ndarray,
    w_value: np.ndarray,
    n_heads: int,
) -> np.ndarray:
    """What each position of x (B, T, C) takes from source (B, S, C), by attention with n_heads heads: (B, T, C).

    Queries are x @ w_query, keys and values source @ w_key and source @ w_value; the matrices are (C, C). Head h has
    the D = C / n_heads columns from h · D on, in queries, keys, values and the result. Scores are divided by √D. Where
    is_token (B, S) is False, the source has padding: nothing looks at it, and what stands there changes nothing. Each
    row has a token. Large scores must not overflow.

    >>> one, source = np.ones((1, 1)), np.log([[[1.0], [2.0], [5.0]]])
    >>> cross_attention(np.ones((1, 1, 1)), source, np.array([[True, True, False]]), one, one, one, 1)  # 2/3 · ln 2
    array([[[0.46209812]]])
    """
    raise NotImplementedError


def smoothed_loss(logits: np.ndarray, target: np.ndarray, epsilon: float) -> tuple[float, np.ndarray]:
    """Cross-entropy with smoothed labels and its gradient by the logits (N, V), for classes target (N,).

    The distribution asked for is q = (1 − ε) onehot(target) + ε/V, the loss of a row −Σ q ln softmax(logits). Rows
    with the target −100 are padding: they do not count in the mean, and their gradient is 0. There is at least one
    other row. Large logits must not overflow.

    >>> loss, gradient = smoothed_loss(np.log([[0.92, 0.02, 0.02, 0.02, 0.02]]), np.array([0]), 0.1)
    >>> round(loss, 4), bool(np.abs(gradient).max() < 1e-12)  # as asked for: the entropy of q is left
    (0.3897, True)
    """
    raise NotImplementedError


def bleu(hypothesis: list[str], references: list[list[str]]) -> float:
    """BLEU of one sentence, given as words, against one reference or more: from 0 to 100.

    p_n, for n = 1 to 4, is the share of the hypothesis' n-grams that stand in a reference. One counts at most as often
    as in the reference that has it most often. BLEU = 100 · BP · (p_1 p_2 p_3 p_4)^(1/4). BP = e^(1 − r/c) if c < r,
    else 1, for c words in the hypothesis and r in the reference whose length is nearest to c; of two such lengths r is
    the shorter. Where a p_n is 0, or the hypothesis has fewer than four words, BLEU is 0.

    >>> round(bleu("the cat sat on the mat".split(), ["the cat sat on a mat at home".split()]), 2)
    38.5
    """
    raise NotImplementedError


def likeliest_text(
    log_probs: Callable[[list[int]], np.ndarray], end: int, max_new_tokens: int
) -> tuple[list[int], float]:
    """The likeliest of *all* texts, and its log-probability: the sum over its tokens.

    log_probs(tokens) gives the log-probabilities (V,) of the next token after a beginning; start with []. A text is
    complete after the token `end`, which belongs to it, or with max_new_tokens tokens. No complete text may be likelier
    than yours, which beam search cannot promise. But do not try all: a sum only falls with each token, so a beginning
    that is no likelier than a complete text needs no more questions. With 8 tokens and 7 steps there are 137,257
    beginnings to ask about; the check stops after 2,000 calls of log_probs, and none may be about a complete text.

    >>> after = np.log([[0.1, 0.5, 0.4], [0.3, 0.4, 0.3], [0.9, 0.05, 0.05]])
    >>> tokens, log_prob = likeliest_text(lambda tokens: after[tokens[-1] if tokens else 0], 0, 4)
    >>> tokens, round(log_prob, 4)  # ln 0.36
    ([2, 0], -1.0217)
    """
    raise NotImplementedError
