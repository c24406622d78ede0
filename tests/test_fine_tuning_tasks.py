"""The kinds of task: targets from examples, predictions in the examples' order, answers at their place in the text."""

import numpy as np
import pytest

from tinygrad_llm.data.examples import SpanExample, TextExample
from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig
from tinygrad_llm.text import BPETokenizer, CharTokenizer, WordPieceTokenizer
from tinygrad_llm.train.finetune import FineTuneConfig, fine_tune
from tinygrad_llm.train.span_rows import answer_texts, span_rows, tokens_with_offsets
from tinygrad_llm.train.tasks import Classify, FindAnswer, Grade

TEXT = "the répas costs 12 €, and the dog eats a bone; who ate what? a cat ate 3 mice in paris, née in rome. " * 3
TOKENIZERS = {
    "wordpiece": WordPieceTokenizer.train(TEXT, 120),
    "bpe": BPETokenizer.train(TEXT, 300, special_tokens=["<|endoftext|>"]),
    "char": CharTokenizer.train(TEXT),
}
BY_TOKENIZER = pytest.mark.parametrize("tokenizer", TOKENIZERS)


def base(tokenizer, seed=0, max_seq_len=64):
    V, rng = TOKENIZERS[tokenizer].vocab_size, np.random.default_rng(seed)
    if tokenizer == "wordpiece":
        return BERT(BERTConfig(V, max_seq_len, 2, 2, 2, 16, 32, 0.0), rng)
    return GPT(GPTConfig(V, max_seq_len, 2, 2, 16, dropout=0.0), rng)


@BY_TOKENIZER
def test_offsets_cut_the_text_where_the_tokens_are(tokenizer):
    text = "the répas costs 12 €"
    ids, offsets = tokens_with_offsets(TOKENIZERS[tokenizer], text)
    assert len(ids) == len(offsets)
    covered = {i for start, stop in offsets for i in range(start, stop)}
    assert covered >= {i for i, character in enumerate(text) if character != " "}
    assert (offsets[1:, 0] >= offsets[:-1, 0]).all()
    if tokenizer != "wordpiece":
        for token, (start, stop) in zip(ids, offsets, strict=True):
            piece = TOKENIZERS[tokenizer].decode([token])
            assert piece in text[start:stop] or "\ufffd" in piece
    assert tokens_with_offsets(TOKENIZERS[tokenizer], "")[1].shape == (0, 2)


def question(answer, context="a cat ate 3 mice in paris", text="who ate what?"):
    return SpanExample(text, context, (answer,), context.index(answer))


@BY_TOKENIZER
@pytest.mark.parametrize("max_seq_len", [16, 24, 64])
def test_every_window_knows_where_the_answer_is(tokenizer, max_seq_len):
    example = question("3")
    rows = span_rows(TOKENIZERS[tokenizer], [example], max_seq_len, for_training=True)
    assert len(rows) == 1 or all(row.encoded.length == max_seq_len for row in rows)
    found = [row for row in rows if row.target != (0, 0)]
    assert found
    for row in rows:
        assert row.encoded.length <= max_seq_len
        assert row.allowed[0]
    for row in found:
        first, last = row.target
        assert row.allowed[first : last + 1].all()
        text = example.context[row.offsets[first, 0] : row.offsets[last, 1]]
        assert text.strip() == "3"


def test_a_question_without_an_answer_points_at_the_first_token():
    example = SpanExample("who?", "a cat ate", (), None)
    (row,) = span_rows(TOKENIZERS["wordpiece"], [example], 64, for_training=True)
    assert row.target == (0, 0)
    with pytest.raises(ValueError, match="leaves no room for a context"):
        span_rows(TOKENIZERS["wordpiece"], [question("3")], 4, for_training=True)


def train(task, tokenizer, examples, epochs=60, max_seq_len=64):
    rng = np.random.default_rng(0)
    model = task.new_model(base(tokenizer), examples, 0.0, rng)
    config = FineTuneConfig(epochs=epochs, batch_size=4, learning_rate=1e-2, patience=100, evaluations_per_epoch=1)
    encoder = TOKENIZERS[tokenizer]
    batches = task.batches(encoder, examples, max_seq_len, 4, rng)

    def evaluate():
        return task.score(examples, task.predict(model, encoder, examples, max_seq_len))

    reports = list(fine_tune(model, batches, evaluate, config, len(examples)))
    return model, max(report.score for report in reports)


@BY_TOKENIZER
def test_classes_are_learned(tokenizer):
    examples = [TextExample("a cat ate", None, "cat"), TextExample("the dog eats", None, "dog")]
    examples += [TextExample("who ate what", "a cat", "cat"), TextExample("who ate what", "the dog", "dog")]
    task = Classify.of(examples)
    model, score = train(task, tokenizer, examples)
    assert score == 1.0
    p = task.predict(model, TOKENIZERS[tokenizer], examples, 64)
    assert task.names(p) == ["cat", "dog", "cat", "dog"]
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    turned = task.predict(model, TOKENIZERS[tokenizer], examples[::-1], 64)
    np.testing.assert_allclose(turned[::-1], p, atol=1e-5)


def test_balanced_classes_weigh_alike():
    examples = [TextExample("a", None, "few")] + [TextExample("a", None, "many")] * 3
    model = Classify.of(examples, balanced=True).new_model(base("char"), examples, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(model.class_weights.data, [2, 2 / 3])
    assert Classify.of(examples).new_model(base("char"), examples, 0.0, np.random.default_rng(0)).class_weights is None


@BY_TOKENIZER
def test_numbers_are_learned(tokenizer):
    texts = ["a cat ate", "the dog eats", "who ate what", "paris"]
    examples = [TextExample(text, None, float(10 * i)) for i, text in enumerate(texts)]
    task = Grade.of(examples)
    model, score = train(task, tokenizer, examples)
    assert score > -2.0
    np.testing.assert_allclose(task.predict(model, TOKENIZERS[tokenizer], examples, 64), [0, 10, 20, 30], atol=4)


@BY_TOKENIZER
@pytest.mark.parametrize("max_seq_len", [32, 64])
def test_answers_are_found(tokenizer, max_seq_len):
    """Those of long contexts too, which are cut into windows, and that there is none."""
    examples = [question("cat"), question("paris", text="where?"), question("3", text="what came?")]
    examples.append(SpanExample("when?", "a cat ate 3 mice in paris", (), None))
    model, score = train(FindAnswer.of(examples), tokenizer, examples, 120, max_seq_len)
    answers = FindAnswer().predict(model, TOKENIZERS[tokenizer], examples, max_seq_len)
    assert score == 1.0
    assert [answer.text.strip() for answer in answers] == ["cat", "paris", "3", ""]
    for answer, example in zip(answers, examples, strict=True):
        assert example.context[answer.start :].startswith(answer.text)
        assert 0 < answer.probability <= 1


def test_an_empty_context_has_no_answer():
    model = FindAnswer().new_model(base("wordpiece"), [], 0.0, np.random.default_rng(0)).eval()
    examples = [SpanExample("who?", "", (), None)]
    rows = span_rows(TOKENIZERS["wordpiece"], examples, 64, for_training=False)
    assert answer_texts(model, rows, examples)[0][0] == ""


def test_what_is_refused():
    with pytest.raises(ValueError, match="at least two classes"):
        Classify(["one"])
    with pytest.raises(ValueError, match="the label 'c' is none of the classes a, b"):
        Classify(["a", "b"]).numbers([TextExample("x", None, "c")])
    with pytest.raises(ValueError, match="all the same"):
        Grade.of([TextExample("x", None, 1.0), TextExample("y", None, 1.0)])
