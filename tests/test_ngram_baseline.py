"""Naive Bayes and logistic regression: by hand, equal to scikit-learn's, and as strong on real texts."""

from __future__ import annotations

import warnings
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import feature_extraction, linear_model, naive_bayes

from tinygrad_llm.data import embedded_corpus
from tinygrad_llm.data.words import WORD
from tinygrad_llm.evaluate import LogisticRegression, NaiveBayes, RidgeRegression, accuracy_score, nearest_word
from tinygrad_llm.evaluate.newton import conjugate_gradient, minimize_newton_cg
from tinygrad_llm.evaluate.ngrams import CountVectorizer, SparseRows, TfidfVectorizer

MODELS = [NaiveBayes, LogisticRegression]
TEXTS = st.lists(st.text("ab c.\n", max_size=15), min_size=1, max_size=8)
SPLIT = {"tokenizer": WORD.findall, "token_pattern": None}  # scikit-learn with our words


@cache
def package_of_docstring() -> dict[str, str]:
    """The package of each of the standard library's docstrings."""
    return {doc.text: doc.source.removeprefix("docstring:").split(".")[0] for doc in embedded_corpus("docstrings")}


def docstrings_of_packages(n_texts: int = 1200, n_packages: int = 8) -> tuple[list[str], list[str]]:
    """Docstrings of the largest packages, each text once, shuffled; and the packages."""
    largest = [name for name, _ in Counter(package_of_docstring().values()).most_common(n_packages)]
    chosen = [(text, name) for text, name in package_of_docstring().items() if name in largest]
    order = np.random.default_rng(0).permutation(len(chosen))[:n_texts]
    return [chosen[i][0] for i in order], [chosen[i][1] for i in order]


def dense(sparse: SparseRows) -> np.ndarray:
    out = np.zeros((sparse.n_rows, sparse.n_columns))
    out[sparse.row_of, sparse.columns] = sparse.values
    return out


@given(TEXTS, TEXTS, st.sampled_from([(1, 1), (1, 2), (2, 3), (1, 3)]), st.integers(1, 2))
def test_counts_and_weights_equal_scikit_learn(texts, others, ngram_range, min_df):
    for ours, theirs in (
        (CountVectorizer, feature_extraction.text.CountVectorizer(ngram_range=ngram_range, min_df=min_df, **SPLIT)),
        (
            TfidfVectorizer,
            feature_extraction.text.TfidfVectorizer(ngram_range=ngram_range, min_df=min_df, sublinear_tf=True, **SPLIT),
        ),
    ):
        vectorizer = ours(ngram_range, min_df)
        try:
            expected = theirs.fit_transform(texts).toarray()
        except ValueError:  # no n-gram is frequent enough
            with pytest.raises(ValueError, match="no word n-gram"):
                vectorizer.fit_transform(texts)
            continue
        counts = dense(vectorizer.fit_transform(texts))
        names, their_names = vectorizer.get_feature_names_out(), theirs.get_feature_names_out().tolist()
        assert sorted(names) == sorted(their_names)
        order = [their_names.index(name) for name in names]
        np.testing.assert_allclose(counts, expected[:, order])
        np.testing.assert_allclose(dense(vectorizer.transform(others)), theirs.transform(others).toarray()[:, order])


def test_words_are_lower_case_runs_and_single_characters_of_chinese():
    vectorizer = CountVectorizer(ngram_range=(1, 1))
    counts = vectorizer.fit_transform(["Don't stop!! 学习 Stop"])
    assert dict(zip(vectorizer.get_feature_names_out(), counts.values, strict=True)) == {
        "!!": 1, "'": 1, "don": 1, "stop": 2, "t": 1, "学": 1, "习": 1,
    }  # fmt: skip


def test_ngrams_do_not_reach_into_the_next_text():
    vectorizer = CountVectorizer(ngram_range=(2, 2))
    vectorizer.fit_transform(["a b", "c d"])
    assert vectorizer.get_feature_names_out() == ["a b", "c d"]


@given(st.integers(0, 10**6))
def test_products_of_sparse_rows_equal_dense_ones(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 3, (6, 5)) * (rng.random((6, 1)) < 0.7)  # some rows are empty
    row_of, columns = np.nonzero(matrix)
    indptr = np.concatenate([[0], np.cumsum((matrix > 0).sum(1))])
    sparse = SparseRows(matrix[row_of, columns].astype(float), columns, indptr, 5)
    weights, of_rows = rng.standard_normal((3, 5)), rng.standard_normal((3, 6))
    np.testing.assert_allclose(sparse.dot(weights), weights @ matrix.T)
    np.testing.assert_allclose(sparse.sum_rows(of_rows), of_rows @ matrix, atol=1e-12)
    np.testing.assert_array_equal(dense(sparse.with_ones()), np.c_[matrix, np.ones(6)])


def test_naive_bayes_by_hand():
    model = NaiveBayes(alpha=1, ngram_range=(1, 1)).fit(["fun fun", "fun", "dull"], ["+", "+", "-"])
    # + has 3 of 3 words "fun", so (3 + 1) / (3 + 2) of the 2 words; - has none of 1, so 1 / 3
    plus, minus = 2 / 3 * 4 / 5, 1 / 3 * 1 / 3
    np.testing.assert_allclose(model.predict_proba(["fun"]), [[plus / (plus + minus), minus / (plus + minus)]])
    np.testing.assert_allclose(model.predict_proba(["unheard of"]), [[2 / 3, 1 / 3]])  # what is left is the prior
    assert model.classes_ == ["+", "-"]
    assert model.predict(["fun", "dull"]) == ["+", "-"]


@pytest.mark.parametrize("class_weight", [None, "balanced", {"tkinter": 3.0}])
def test_naive_bayes_equals_scikit_learn(class_weight):
    texts, labels = docstrings_of_packages()
    model = NaiveBayes(alpha=0.5, class_weight=class_weight).fit(texts[:400], labels[:400])
    vectorizer = feature_extraction.text.CountVectorizer(ngram_range=(1, 2), **SPLIT)
    counts = vectorizer.fit_transform(texts[:400])
    weights = np.ones(400)
    if class_weight == "balanced":
        weights = np.array([400 / (len(set(labels[:400])) * labels[:400].count(label)) for label in labels[:400]])
    elif class_weight:
        weights = np.array([class_weight.get(label, 1) for label in labels[:400]])
    theirs = naive_bayes.MultinomialNB(alpha=0.5).fit(counts, labels[:400], sample_weight=weights)
    expected = theirs.predict_log_proba(vectorizer.transform(texts[400:600]))
    np.testing.assert_allclose(model.predict_log_proba(texts[400:600]), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("n_packages", [2, 4])
def test_logistic_regression_finds_the_minimum_that_scikit_learn_finds(class_weight, n_packages):
    texts, labels = docstrings_of_packages(200, n_packages)
    model = LogisticRegression(C=5, class_weight=class_weight, tol=1e-6).fit(texts, labels)
    vectorizer = feature_extraction.text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **SPLIT)
    C = 10 if n_packages == 2 else 5  # one row of weights there, two here
    theirs = linear_model.LogisticRegression(C=C, class_weight=class_weight, tol=1e-8, max_iter=1000)
    theirs.fit(vectorizer.fit_transform(texts), labels)
    new = docstrings_of_packages()[0][-100:]
    np.testing.assert_allclose(model.predict_proba(new), theirs.predict_proba(vectorizer.transform(new)), atol=1e-4)


def test_both_are_as_strong_as_scikit_learn_on_docstrings():
    texts, labels = docstrings_of_packages()
    train, test = (texts[:900], labels[:900]), (texts[900:], labels[900:])
    vectorizer = feature_extraction.text.TfidfVectorizer(ngram_range=(1, 2))  # with its own words and weights
    theirs = linear_model.LogisticRegression(C=30, max_iter=1000).fit(vectorizer.fit_transform(train[0]), train[1])
    expected = theirs.score(vectorizer.transform(test[0]), test[1])
    ours = {model: accuracy_score(test[1], model().fit(*train).predict(test[0])) for model in MODELS}
    most_frequent = Counter(train[1]).most_common(1)[0][0]
    assert accuracy_score(test[1], [most_frequent] * len(test[1])) < 0.4 < expected
    assert ours[LogisticRegression] > expected - 0.01
    assert ours[NaiveBayes] > expected - 0.05


def test_balanced_weights_find_more_of_a_rare_class():
    rng = np.random.default_rng(0)
    labels = (rng.random(400) < 0.1).astype(int)
    texts = [" ".join(rng.choice(["x", "y"] if label else ["x", "z", "y"], 2)) for label in labels]
    found = [sum(LogisticRegression(class_weight=w).fit(texts, labels).predict(texts)) for w in (None, "balanced")]
    assert found[0] < found[1]


@pytest.mark.parametrize("model", MODELS)
def test_probabilities_add_up_and_agree_with_the_prediction(model):
    texts, labels = docstrings_of_packages()
    fitted = model().fit(texts[:300], np.array(labels[:300]))
    p = fitted.predict_proba(texts[300:400])
    assert p.shape == (100, 8)
    np.testing.assert_allclose(p.sum(1), 1)
    assert fitted.predict(texts[300:400]) == [fitted.classes_[k] for k in p.argmax(1)]
    assert fitted.predict_proba([]).shape == (0, 8)
    assert fitted.predict([]) == []


@pytest.mark.parametrize("model", MODELS)
def test_the_strongest_features_are_words_of_the_class(model):
    texts = ["the red, the apple", "the green, the apple", "the red, the car", "the green, the car"] * 3
    fitted = model(ngram_range=(1, 1)).fit(texts, [0, 0, 1, 1] * 3)
    assert fitted.strongest_features(0, k=1) == ["apple"]
    assert fitted.strongest_features(1, k=1) == ["car"]
    with pytest.raises(ValueError, match="2 is none of the classes"):
        fitted.strongest_features(2)


def test_logistic_regression_says_when_tol_is_out_of_reach():
    with pytest.warns(UserWarning, match="was not reached"):
        LogisticRegression(tol=1e-300).fit(["a b", "b c", "c a"], [0, 1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogisticRegression().fit(["a b", "b c", "c a"], [0, 1, 1])


@pytest.mark.parametrize("alpha", [0.1, 1.0, 20.0])
def test_ridge_regression_equals_scikit_learn(alpha):
    texts, _ = docstrings_of_packages(200)
    numbers = [len(text) ** 0.5 for text in texts]
    model = RidgeRegression(alpha).fit(texts, numbers)
    vectorizer = feature_extraction.text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **SPLIT)
    theirs = linear_model.Ridge(alpha).fit(vectorizer.fit_transform(texts).toarray(), numbers)
    new = docstrings_of_packages()[0][-50:]
    np.testing.assert_allclose(model.predict(new), theirs.predict(vectorizer.transform(new).toarray()), rtol=1e-5)
    assert model.predict([]).shape == (0,)
    for bad, message in (([1.0], "one value in each column"), ([np.nan] * 200, "must be finite")):
        with pytest.raises(ValueError, match=message):
            model.fit(texts, bad)
    with pytest.raises(ValueError, match="alpha must be positive"):
        RidgeRegression(0)


def test_the_word_nearest_to_the_questions_words():
    assert nearest_word("who wrote it", "It rains. Ada wrote it in May") == "Ada"  # "it" stands twice and counts less
    assert nearest_word("x", "a b") == "a"
    assert nearest_word("a b", "b a") == "b"
    assert nearest_word("a", "") == ""


def test_conjugate_gradient_solves_what_a_dense_solver_solves():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((8, 8))
    a, b = a @ a.T + np.diag(np.arange(1, 9)), rng.standard_normal(8)
    products = []

    def product(v):
        products.append(a @ v)
        return products[-1]

    x = conjugate_gradient(product, b, np.diag(a), tolerance=1e-8)
    np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=1e-5)
    assert len(products) <= 10  # of 8 unknowns it needs 8 without rounding; steepest descent would need far more


def test_the_diagonal_makes_up_for_coordinates_of_different_scale():
    scales, n_products = 10.0 ** np.arange(-4, 4), []

    def product(v):
        n_products.append(1)
        return scales * v

    x = conjugate_gradient(product, np.ones(8), scales, tolerance=1e-8)
    np.testing.assert_allclose(x, 1 / scales)
    assert len(n_products) == 1


def test_newton_halves_steps_that_overshoot_and_says_when_steps_run_out():
    def softened_distance(x):  # Newton's full step from 2 lands at −8, and further out from there
        root = np.sqrt(1 + x**2)
        return float(root.sum()), x / root, lambda v: v / root**3, 1 / root**3

    x, converged = minimize_newton_cg(softened_distance, np.array([2.0]), tolerance=1e-8)
    assert converged
    assert abs(x[0]) < 1e-7
    assert not minimize_newton_cg(softened_distance, np.array([2.0]), tolerance=1e-8, max_iter=1)[1]


@pytest.mark.parametrize("model", MODELS)
def test_errors(model):
    with pytest.raises(ValueError, match="2 of texts and 1 of labels"):
        model().fit(["a", "b"], [0])
    with pytest.raises(ValueError, match="no examples"):
        model().fit([], [])
    with pytest.raises(ValueError, match="no word n-gram"):
        model().fit(["", " "], [0, 1])
    with pytest.raises(TypeError, match="each text must be a str, got int"):
        model().fit(["a", 1], [0, 1])
    with pytest.raises(TypeError, match="the str 'a text'"):
        model().fit(["a", "b"], [0, 1]).predict("a text")
    with pytest.raises(ValueError, match="class_weight must be None"):
        model(class_weight="equal").fit(["a", "b"], [0, 1])
    with pytest.raises(ValueError, match="names 7, which is none"):
        model(class_weight={7: 1}).fit(["a", "b"], [0, 1])
    with pytest.raises(ValueError, match="must hold positive numbers"):
        model(class_weight={0: -1}).fit(["a", "b"], [0, 1])
    with pytest.raises(RuntimeError, match="call fit first"):
        model().predict(["a"])
    with pytest.raises(ValueError, match="must be positive"):
        model(0)
    with pytest.raises(ValueError, match=r"ngram_range must be \(shortest, longest\)"):
        model(ngram_range=(2, 1))
    with pytest.raises(ValueError, match="min_df must be at least 1"):
        model(min_df=0)


def test_one_class_alone():
    assert NaiveBayes().fit(["a", "b"], ["x", "x"]).predict(["c"]) == ["x"]
    with pytest.raises(ValueError, match="give at least two classes"):
        LogisticRegression().fit(["a", "b"], ["x", "x"])
