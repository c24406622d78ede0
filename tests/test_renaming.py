"""Renamed examples ask the same of the same function, marked words are those of the question, a small BERT learns."""

import ast
import re
from itertools import islice

import numpy as np
import pytest

from tinygrad_llm.data import SpanExample, TextExample, signature_questions
from tinygrad_llm.data.renaming import name_words, renamed
from tinygrad_llm.models import BERT, BERTConfig
from tinygrad_llm.text import WordPieceTokenizer
from tinygrad_llm.train.finetune import FineTuneConfig, layerwise_optimizer
from tinygrad_llm.train.scratch import SETTINGS, sines, small_bert
from tinygrad_llm.train.span_rows import span_rows
from tinygrad_llm.train.tasks import FindAnswer


@pytest.fixture(scope="module")
def questions():
    return signature_questions()[::17]


def parameters_of(context):
    """Of a context's signature, by Python's own parser: the names, and the default of each that has one."""
    arguments = ast.parse(f"{context.partition(chr(10) * 2)[0]}: pass").body[0].args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip([each.arg for each in plain][::-1], arguments.defaults[::-1], strict=False))
    defaults |= {a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d}
    names = [*plain, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    names = [each.arg for each in names if each]
    return names, {name: ast.unparse(default) for name, default in defaults.items()}


def test_renamed_questions_have_the_answers_that_the_new_signature_gives(questions):
    words, rng, checked = name_words(questions), np.random.default_rng(0), 0
    for example in questions:
        new = renamed(example, words, rng)
        assert new.context[new.start : new.end] == new.answers[0]
        quoted, (names, defaults) = new.question.split("`")[1::2], parameters_of(new.context)
        match example.source.partition(":")[0]:
            case "default":
                assert defaults[quoted[0]] == ast.unparse(ast.parse(new.answers[0], mode="eval"))
            case "with default":
                assert [name for name in names if defaults.get(name) == quoted[1]] == [new.answers[0]]
            case "next":
                assert names[names.index(quoted[1]) + 1] == new.answers[0]
            case "return":
                continue
        checked += 1
    assert checked > 300


def test_what_is_renamed_and_what_stays(questions):
    words, rng = name_words(questions), np.random.default_rng(0)
    example = SpanExample(
        "Which parameter of `m.C.__init__` comes after `key`?",
        "def __init__(self, key, *, keys=None, sep='\\n')\n\nThe key of keys, not keyed. None is no key.",
        ("keys",),
        start=26,
    )
    seen = set()
    for _ in range(20):
        new = renamed(example, words, rng)
        form = re.fullmatch(
            r"def __init__\(self, (\w+), \*, (\w+)=None, (\w+)='\\n'\)\n\n"
            r"The (\w+) of (\w+), not keyed. None is no (\w+).",
            new.context,
        )
        key, keys, _, *again = form.groups()
        assert again == [key, keys, key]
        assert re.fullmatch(rf"Which parameter of `\w+\.\w+\.__init__` comes after `{key}`\?", new.question)
        assert len({each.lower() for each in form.groups()[:3]}) == 3
        assert new.answers == (keys,)
        seen.add(key)
    assert len(seen) > 15
    assert "key" not in seen
    with pytest.raises(ValueError, match="there are no words to make names of"):
        renamed(example, [], rng)


def test_one_word_is_enough_for_any_number_of_names():
    text = f"def f({', '.join(f'x{i}' for i in range(30))})"
    new = renamed(SpanExample("Which?", text, ("x7",), text.index("x7")), ["A"], np.random.default_rng(0))
    names, _ = parameters_of(new.context)
    assert len({name.lower() for name in names}) == 30
    assert names[7] == new.answers[0]


def test_an_example_without_an_answer_is_renamed_too():
    new = renamed(SpanExample("What is `x`?", "def f(x)", (), None), ["house"], np.random.default_rng(0))
    assert (new.answers, new.start) == ((), None)
    assert new.question[9:-2] == new.context[:-1].partition("(")[2]


def by_words(context, answer, question="default of `name` in `m.is_open`?"):
    tokenizer = WordPieceTokenizer.train(context, 40)
    example = SpanExample(question, context, (answer,), context.index(answer))
    (row,) = span_rows(tokenizer, [example], 200, for_training=True, by_words=True)
    (plain,) = span_rows(tokenizer, [example], 200, for_training=True)
    return row, plain


def test_words_of_the_question_are_marked():
    row, plain = by_words("def is_open(name, Nam=name)", "name")
    segments = np.array(row.encoded.segments)
    of_context = np.flatnonzero(plain.allowed)[1:]
    marked = {int(i) for t in of_context if segments[t] == 2 for i in range(*row.offsets[t])}
    assert marked == {*range(4, 11), *range(12, 16), *range(22, 26)}
    assert set(segments[: of_context[0]]) == {0}
    assert segments[-1] == 1
    assert plain.encoded == row.encoded._replace(segments=[min(each, 1) for each in row.encoded.segments])


def test_answers_by_words_are_whole_words():
    row, plain = by_words("def is_open(näme, x='a-1')", "x")
    assert row.target == plain.target
    for end, at in ((0, {0, 3, 4, 11, 12, 13, 14, 16, 18, 19, 20, 21, 22, 23, 24, 25}),
                    (1, {3, 11, 12, 13, 14, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26})):  # fmt: skip
        allowed = np.flatnonzero(row.allowed[:, end])
        assert allowed[0] == 0  # no answer
        found = set(row.offsets[allowed[1:], end].tolist())
        assert found <= at
        assert found >= {12, 18, 20, 22} if end == 0 else found >= {11, 16, 19, 25}
    row, plain = by_words("def is_open(name)", "pen")  # the answer itself is always allowed
    assert row.target == plain.target
    assert row.allowed[row.target[0], 0]


def test_by_words_needs_a_third_segment():
    base = BERT(BERTConfig(50, 8, 2, 1, 2, 8, 16))
    with pytest.raises(ValueError, match="needs a BERT with a third segment"):
        FindAnswer(by_words=True).new_model(base, [], 0.0, np.random.default_rng(0))


def test_each_pass_reads_other_names(questions):
    some = questions[:7]
    base, tokenizer = small_bert(questions, 128)
    task = FindAnswer.of(some, rename=True, by_words=True)
    assert FindAnswer(**task.settings()).by_words  # but reads names as they are
    batches = list(islice(task.batches(tokenizer, some, 128, 4, np.random.default_rng(0)), 4))
    passes = [sorted(row[keep].tolist() for ids, mask, *_ in each for row, keep in zip(ids, mask, strict=True))
              for each in (batches[:2], batches[2:])]  # fmt: skip
    assert [len(each) for each in passes] == [7, 7]
    assert not any(row in passes[1] for row in passes[0])
    assert np.isfinite(task.new_model(base, some, 0.0, np.random.default_rng(0)).loss(*batches[0]).item())


def test_embeddings_begin_alike():
    base, tokenizer = small_bert([TextExample("def f(x, y)")] * 2, 64, seed=1)
    assert (base.config.vocab_size, base.config.n_segments) == (tokenizer.vocab_size, 3)
    for embedding in (base.token_embedding, base.segment_embedding, base.position_embedding):
        length = np.sqrt((embedding.weight.data**2).sum(axis=1).mean())
        assert length == pytest.approx(0.7 * np.sqrt(96), rel=0.15)
    waves = sines(64, 96)
    turn = waves[1:] @ waves[:-1].T
    np.testing.assert_allclose(np.diag(turn), turn[0, 0], rtol=1e-6)  # one step is the same turn everywhere
    again, _ = small_bert([TextExample("def f(x, y)")] * 2, 64, seed=1)
    np.testing.assert_array_equal(again.token_embedding.weight.data, base.token_embedding.weight.data)


def test_muon_has_the_matrices_of_the_blocks():
    base, _ = small_bert([TextExample("def f(x, y)")] * 2, 64)
    model = FindAnswer().new_model(base, [], 0.0, np.random.default_rng(0))
    groups = layerwise_optimizer(model, FineTuneConfig(**SETTINGS)).param_groups
    by_muon = {id(p) for group in groups if "ns_steps" in group for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in by_muon}
    assert len(names) == 4 * 4  # in each block: queries, keys and values in one, the output, two of the feed-forward
    assert all(name.startswith("base.blocks.") for name in names)
    assert sorted({group["lr"] for group in groups}) == pytest.approx([0.004, 0.01])
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    assert FineTuneConfig(**SETTINGS).n_steps(6182) == 4636
