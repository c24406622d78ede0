"""How good is it, and how sure is that: metrics, bootstrap intervals, and simple baselines to compare with.

accuracy_score(y_true, y_pred)                                          # classes: also F1, MCC, the confusion matrix
expected_calibration_error(y_true, probabilities)                       # probabilities: also AUROC, Brier
span_scores(predictions, gold_answers).f1                               # answers in words, as SQuAD scores them
spearman_correlation(y_true, y_pred)                                    # numbers; cohen_kappa_score for grades
bootstrap_interval(accuracy_score, y_true, y_pred, rng=np.random.default_rng(0))
LogisticRegression().fit(texts, labels).predict(more_texts)             # what a fine-tuned model has to beat

Perplexity and bits per byte of a language model are in `tinygrad_llm.train`, beside the loop that measures them.
"""

from .classification import (
    PrecisionRecallF1,
    accuracy_score,
    confusion_matrix,
    f1_score,
    matthews_corrcoef,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)
from .intervals import Interval, PairedDifference, bootstrap_interval, paired_bootstrap
from .ngram_baseline import LogisticRegression, NaiveBayes
from .probabilities import (
    ReliabilityBins,
    brier_score_loss,
    expected_calibration_error,
    reliability_bins,
    roc_auc_score,
)
from .regression import (
    cohen_kappa_score,
    mean_absolute_error,
    pearson_correlation,
    r2_score,
    root_mean_squared_error,
    spearman_correlation,
)
from .spans import SpanScores, exact_match, normalize_answer, span_scores, token_f1

__all__ = [
    "Interval",
    "LogisticRegression",
    "NaiveBayes",
    "PairedDifference",
    "PrecisionRecallF1",
    "ReliabilityBins",
    "SpanScores",
    "accuracy_score",
    "bootstrap_interval",
    "brier_score_loss",
    "cohen_kappa_score",
    "confusion_matrix",
    "exact_match",
    "expected_calibration_error",
    "f1_score",
    "matthews_corrcoef",
    "mean_absolute_error",
    "normalize_answer",
    "paired_bootstrap",
    "pearson_correlation",
    "precision_recall_fscore_support",
    "precision_score",
    "r2_score",
    "recall_score",
    "reliability_bins",
    "roc_auc_score",
    "root_mean_squared_error",
    "span_scores",
    "spearman_correlation",
    "token_f1",
]
