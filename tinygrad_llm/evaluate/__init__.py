"""How good is it, and how sure is that: metrics, bootstrap intervals, and simple baselines to compare with.

accuracy_score(y_true, y_pred)                                          # classes: also F1, MCC, the confusion matrix
expected_calibration_error(y_true, probabilities)                       # probabilities: also AUROC, Brier
span_scores(predictions, gold_answers).f1                               # answers in words, as SQuAD scores them
spearman_correlation(y_true, y_pred)                                    # numbers; cohen_kappa_score for grades
corpus_bleu(hypotheses, references)                                     # translations: also chrF
rouge_scores(hypotheses, references).rouge_l.f1.mean()                  # summaries
bootstrap_interval(accuracy_score, y_true, y_pred, rng=np.random.default_rng(0))
LogisticRegression().fit(texts, labels).predict(more_texts)             # what a fine-tuned model has to beat

What else a model has learnt: biases, its training text, how sure it may be; and a filter of harmful text.

measure_associations(word_vectors(model, tokenizer, words_of()), rng)   # WEAT, with intervals and permutation p-values
measure_preferences(model, tokenizer, rng)                              # paired sentences
extraction(model, tokens, [8, 32], n_new=16, n_prompts=200, rng=rng)    # training text given back word for word
exposures(model, tokenizer, canaries, rng)                              # of secrets planted by plant_canaries
token_calibration(model, tokens, batch_size, seq_len, rng).error
default_filter().check("You are such a fool.")                          # how good it is: filter_report

Perplexity and bits per byte of a language model are in `tinygrad_llm.train`, beside the loop that measures them.
"""

from .association import (
    Association,
    TooFewWords,
    measure_associations,
    sentence_vectors,
    weat,
    word_vectors,
    words_of,
)
from .association_words import WORD_TESTS, Words, WordTest
from .canaries import Canary, Exposure, exposures, make_canaries, plant_canaries
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
from .filter_report import clean_sentences, false_positives, filter_report, scores_on, word_list_filter
from .filter_training import default_filter, fit_classifier, make_filter
from .intervals import Interval, PairedDifference, bootstrap_interval, paired_bootstrap
from .memorisation import Extraction, Share, extraction, wilson
from .ngram_baseline import LogisticRegression, NaiveBayes
from .paired_sentences import TOPICS, Preference, SentencePair, Topic, log_likelihoods, measure_preferences
from .permutation import PValue, holm, sign_flip_test, two_group_test
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
from .token_calibration import TokenCalibration, token_calibration
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
    "TOPICS",
    "WORD_TESTS",
    "Association",
    "BleuScore",
    "Canary",
    "Exposure",
    "Extraction",
    "Interval",
    "LogisticRegression",
    "NaiveBayes",
    "PValue",
    "PairedDifference",
    "PrecisionRecallF1",
    "Preference",
    "ReliabilityBins",
    "RidgeRegression",
    "RougeScore",
    "RougeScores",
    "SentencePair",
    "Share",
    "SpanScores",
    "TokenCalibration",
    "TooFewWords",
    "Topic",
    "WordTest",
    "Words",
    "accuracy_score",
    "bleu_counts",
    "bleu_of_counts",
    "bootstrap_interval",
    "brier_score_loss",
    "chrf_counts",
    "chrf_of_counts",
    "clean_sentences",
    "cohen_kappa_score",
    "confusion_matrix",
    "corpus_bleu",
    "corpus_chrf",
    "default_filter",
    "exact_match",
    "expected_calibration_error",
    "exposures",
    "extraction",
    "f1_score",
    "false_positives",
    "filter_report",
    "fit_classifier",
    "holm",
    "log_likelihoods",
    "make_canaries",
    "make_filter",
    "matthews_corrcoef",
    "mean_absolute_error",
    "measure_associations",
    "measure_preferences",
    "nearest_word",
    "normalize_answer",
    "paired_bootstrap",
    "pearson_correlation",
    "plant_canaries",
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
    "scores_on",
    "sentence_bleu",
    "sentence_chrf",
    "sentence_vectors",
    "sign_flip_test",
    "span_scores",
    "spearman_correlation",
    "token_calibration",
    "token_f1",
    "tokenize_13a",
    "tokenize_zh",
    "two_group_test",
    "weat",
    "wilson",
    "word_list_filter",
    "word_vectors",
    "words_of",
]
