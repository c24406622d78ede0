"""Text to pretrain on without the examples that are tested on."""

import pytest

from tinygrad_llm.data import Document, TextExample, docstring_packages
from tinygrad_llm.data.held_out import plain, without_examples

LONG = " ".join(f"word{i}" for i in range(60))


def kept(documents, examples, **settings):
    return [each.source for each in without_examples(documents, examples, **settings)]


def test_a_document_goes_by_its_source_its_words_or_its_likeness():
    documents = [
        Document("Close the file at once, please.", "a"),  # the example has its name cut out of it
        Document("Before.\n\nCLOSE  the file at\nonce, please. After.", "a copy of a's text"),
        Document(f"{LONG} more", "nearly the long one"),
        Document("Close the file at once, please do.", "other words"),
        Document("Enclose the file", "half a word"),
    ]
    examples = [
        TextExample("the file at once", label="x", source="a"),
        TextExample(LONG),
        TextExample("close the file"),
    ]
    assert kept(documents[:3], examples[:2]) == []
    assert kept(documents, examples[1:2]) == ["a", "a copy of a's text", "other words", "half a word"]
    assert kept(documents, examples[2:]) == ["nearly the long one", "half a word"]
    assert kept(documents, [TextExample("nothing of this", source="a")]) == [
        "nearly the long one", "other words", "half a word",
    ]  # fmt: skip
    assert kept(documents[2:3], examples[1:2], near_duplicate_threshold=1.0) == []  # it holds the example whole
    changed = [Document(LONG.replace("word0 ", "another "), "b")]
    assert (kept(changed, examples[1:2]), kept(changed, examples[1:2], near_duplicate_threshold=1.0)) == ([], ["b"])


def test_of_equal_documents_the_first_is_kept_and_the_order_stays():
    documents = [Document("z y x w v", "1"), Document("a b c d e", "2"), Document("Z y x w v", "3")]
    assert kept(documents, []) == ["1", "2"]


def test_what_is_no_text_or_threshold_is_refused():
    with pytest.raises(ValueError, match="an example has no text"):
        without_examples([], [TextExample(" \n")])
    with pytest.raises(ValueError, match="threshold must lie in"):
        without_examples([], [], near_duplicate_threshold=0)


def test_nothing_of_the_embedded_examples_is_left():
    found = docstring_packages()
    examples, documents = found[::30], [Document(each.text, each.source) for each in found]
    rest = without_examples(documents, examples)
    assert 0.9 * len(documents) < len(rest) < len(documents)
    assert not {each.source for each in rest} & {example.source for example in examples}
    text = "".join(plain(each.text) for each in rest)
    assert not any(plain(example.text) in text for example in examples)
