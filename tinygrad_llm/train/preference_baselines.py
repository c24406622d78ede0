"""What answers give away without their prompts: how often two simple rules tell the chosen one.

length     the longer one, or the shorter one, whichever is right more often in training
n-grams    logistic regression on words and pairs of words, taught which answers were chosen
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..data.preferences import Preference
from ..evaluate import LogisticRegression

CHOSEN, REJECTED = "chosen", "rejected"


def length_baseline(train: Sequence[Preference], test: Sequence[Preference]) -> np.ndarray:
    """(n,): 1 for each pair of `test` that the rule tells right, ½ for a tie, else 0."""
    sign = np.sign(sum(np.sign(len(each.chosen) - len(each.rejected)) for each in train)) or 1
    return np.array([(sign * np.sign(len(each.chosen) - len(each.rejected)) + 1) / 2 for each in test])


def ngram_baseline(train: Sequence[Preference], test: Sequence[Preference]) -> np.ndarray:
    """(n,) as above. Raises ValueError for no training pairs."""
    labels = [CHOSEN] * len(train) + [REJECTED] * len(train)
    model = LogisticRegression().fit([each.chosen for each in train] + [each.rejected for each in train], labels)
    column = list(model.classes_).index(CHOSEN)
    of_chosen, of_rejected = (
        model.predict_log_proba(texts)[:, column]
        for texts in ([each.chosen for each in test], [each.rejected for each in test])
    )
    return (np.sign(of_chosen - of_rejected) + 1) / 2
