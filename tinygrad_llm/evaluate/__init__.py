"""How good is it, and how sure is that: metrics, bootstrap intervals, and simple baselines to compare with.

accuracy_score(y_true, y_pred)                                          # classes: also F1, MCC, the confusion matrix
expected_calibration_error(y_true, probabilities)                       # probabilities: also AUROC, Brier
span_scores(predictions, gold_answers).f1                               # answers in words, as SQuAD scores them
spearman_correlation(y_true, y_pred)                                    # numbers; cohen_kappa_score for grades
corpus_bleu(hypotheses, references)                                     # translations: also chrF
rouge_scores(hypotheses, references).rouge_l.f1.mean()                  # summaries
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
from .reference_texts import tokenize_13a, tokenize_zh
from .regression import (
    cohen_kappa_score,
    mean_absolute_error,
    pearson_correlation,
    r2_score,
    root_mean_squared_error,
    spearman_correlation,
)
from .ridge_baseline import RidgeRegression
from .rouge import RougeScore, RougeScores, rouge_l, rouge_n, rouge_scores, rouge_words
from .span_baseline import nearest_word
from .spans import SpanScores, exact_match, normalize_answer, span_scores, token_f1
from .translation import (
    BleuScore,
    bleu_counts,
    bleu_of_counts,
    chrf_counts,
    chrf_of_counts,
    corpus_bleu,
    corpus_chrf,
    sentence_bleu,
    sentence_chrf,
)

__all__ = [
    "BleuScore",
    "Interval",
    "LogisticRegression",
    "NaiveBayes",
    "PairedDifference",
    "PrecisionRecallF1",
    "ReliabilityBins",
    "RidgeRegression",
    "RougeScore",
    "RougeScores",
    "SpanScores",
    "accuracy_score",
    "bleu_counts",
    "bleu_of_counts",
    "bootstrap_interval",
    "brier_score_loss",
    "chrf_counts",
    "chrf_of_counts",
    "cohen_kappa_score",
    "confusion_matrix",
    "corpus_bleu",
    "corpus_chrf",
    "exact_match",
    "expected_calibration_error",
    "f1_score",
    "matthews_corrcoef",
    "mean_absolute_error",
    "nearest_word",
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
    "rouge_l",
    "rouge_n",
    "rouge_scores",
    "rouge_words",
    "sentence_bleu",
    "sentence_chrf",
    "span_scores",
    "spearman_correlation",
    "token_f1",
    "tokenize_13a",
    "tokenize_zh",
]
