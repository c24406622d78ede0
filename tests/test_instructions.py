"""Questions about the standard library with their answers; conversations read from files; and how both are split."""

import json
import re

import pytest

from tinygrad_llm.data import instructions as instructions_module
from tinygrad_llm.data import module_of
from tinygrad_llm.data.conversations import Conversation, read_conversations, split_conversations
from tinygrad_llm.data.documents import Document
from tinygrad_llm.data.instructions import docstring_conversations, instruction_split, summary
from tinygrad_llm.data.signatures import library_signatures

SOURCE = '''
def move{i}(src, dst, copy_function=copy2, *, deep=True):
    """Move the file number {i} to another place.

    More about it.
    """

def close(self):
    """Close it {i} times."""

class Tool{i}:
    def run(self, first, second="a`b"):
        """Run the tool {i} with both
        of its arguments. Then stop."""
'''


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A small standard library of twelve modules."""
    for i in range(12):
        (tmp_path / f"module{i}.py").write_text(SOURCE.replace("{i}", str(i)))
    found = [signature for signature in library_signatures(tmp_path) if signature.docstring]
    documents = [Document(each.docstring, f"docstring:{each.name}") for each in found]
    documents.append(Document("chain(*xs) --> chain\n\nReturn a chain of things.", "docstring:itertools.chain"))
    documents.append(Document("Not for others to see.", "docstring:module0._hidden"))
    monkeypatch.setattr(instructions_module, "documented_signatures", lambda: found)
    monkeypatch.setattr(instructions_module, "library_docstrings", lambda library: documents)


def test_answers_are_what_the_source_says(library):
    found = docstring_conversations()
    assert {each.kind for each in found} >= {"what", "parameters", "read what", "read parameters", "read next"}
    answers = {"what": set(), "parameters": set(), "default": set(), "read default": set(), "read first": set()}
    for each in found:
        if each.source.endswith(("move3", "itertools.chain")) and each.kind in answers:
            answers[each.kind].add(each.answer)
    assert answers["what"] == {"Move the file number 3 to another place.", "Return a chain of things."}
    assert answers["parameters"] <= {"`src`, `dst`, `copy_function` and `deep`"}
    assert answers["default"] | answers["read default"] <= {"`copy2`", "`True`"}
    assert answers["read first"] <= {"`src`"}
    assert not any("_hidden" in each.source for each in found)
    for each in found:
        assert [role for role, _ in each.messages] == ["user", "assistant"] * (len(each.messages) // 2)
        asked = re.search("after `(\\w+)`|follows `(\\w+)`", each.prompt[-1][1])
        if asked and "move" in each.source:
            order = ["src", "dst", "copy_function", "deep"]
            assert each.answer == f"`{order[order.index(asked[1] or asked[2]) + 1]}`"


def test_some_conversations_go_on(library):
    lengths = {len(each.messages) for each in docstring_conversations()}
    assert lengths == {2, 4, 6}


def test_the_seed_draws_other_words(library):
    assert docstring_conversations(0) == docstring_conversations(0)
    assert docstring_conversations(0) != docstring_conversations(1)
    assert [each.source for each in docstring_conversations(0) if each.kind == "what"] == [
        each.source for each in docstring_conversations(1) if each.kind == "what"
    ]


@pytest.mark.parametrize("seed", range(3))
def test_no_function_is_in_two_parts_and_some_modules_are_new(library, seed):
    split = instruction_split(seed, fraction=0.2, module_fraction=0.2)
    parts = (split.train, split.validation, split.test)
    names = [{each.source.partition(":")[2] for each in part} for part in parts]
    assert not (names[0] & names[1] | names[0] & names[2] | names[1] & names[2])
    assert {module_of(each) for each in split.test} - {module_of(each) for each in split.train}
    read = {instructions_module._given(each) for each in split.train}
    assert not {instructions_module._given(each) for each in split.validation + split.test} & (read - {""})
    assert any("def close(self)" in each.messages[0][1] for each in split.train)


def test_thousands_of_true_answers_in_the_running_python():
    split = instruction_split()
    found = split.train + split.validation + split.test
    assert len(found) > 10_000
    by_source = {each.source: each for each in found}
    assert by_source["what:itertools.chain"].answer.startswith("Return a chain object")
    assert all(each.answer.strip() and len(str(each)) < 2000 for each in found)
    sentences = [{each.answer for each in part if each.kind == "what"} for part in (split.train, split.test)]
    assert not sentences[0] & sentences[1]
    assert min(map(len, (split.train, split.validation, split.test))) > 500


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("chain(*iterables) --> chain object\n\nReturn a chain object.  It is lazy.", "Return a chain object."),
        ("S.join(iterable) -> str\nJoin the strings", "Join the strings."),
        ("return what is\nthere, e.g. this. More.", "Return what is there, e.g. this."),
        ("Too short.", ""),
        (">>> not a sentence at all", ""),
        ("x" * 30 + " is a very long word and " + "so on " * 40, ""),
    ],
)
def test_the_first_sentence(docstring, sentence):
    assert summary(docstring) == sentence


MESSAGES = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}


def test_both_forms_are_read_and_bad_rows_told_by_their_line(tmp_path):
    system = {"role": "system", "content": "Be brief."}
    rows = [
        MESSAGES,
        {"messages": [system, *MESSAGES["messages"]], "id": 7},
        {"instruction": "Translate.", "input": "Hello", "output": "Bonjour"},
        {"instruction": "Greet.", "input": "", "output": "Hi", "system": "Be brief."},
        {"prompt": "x"},
        {"messages": []},
        {"messages": [*MESSAGES["messages"], system]},
        {"messages": MESSAGES["messages"][:1]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": 3}]},
        {"instruction": "x", "output": ""},
        {"messages": ["x"]},
        ["x"],
    ]
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n", encoding="utf-8")
    table = read_conversations(path)
    assert [each.messages for each in table.examples] == [
        (("user", "Hi"), ("assistant", "Hello!")),
        (("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello!")),
        (("user", "Translate.\n\nHello"), ("assistant", "Bonjour")),
        (("system", "Be brief."), ("user", "Greet."), ("assistant", "Hi")),
    ]
    assert table.examples[2].source == f"{path}:3"
    told = [(problem.line, problem.message) for problem in table.problems]
    assert [line for line, _ in told] == list(range(5, 15))
    for (_, message), wanted in zip(
        told,
        [
            "expected 'messages', or 'instruction' and 'output', found only 'prompt'",
            "'messages' should be a list of messages, found []",
            "message 3 is the system's, which can only be the first",
            "from a user's message to an answer, found user",
            "message 1 has the role 'tool'; the roles are system, user, assistant",
            "'content of message 1' should be a text, found 3",
            "'output' is empty",
            "message 1 should be an object with 'role' and 'content', found 'x'",
            "expected an object",
            "not valid JSON",
        ],
        strict=True,
    ):
        assert wanted in message


def test_other_files_and_first_bad_rows(tmp_path):
    with pytest.raises(ValueError, match=r"should be a \.jsonl file, with a conversation on each line"):
        read_conversations(tmp_path / "chat.csv")
    with pytest.raises(FileNotFoundError):
        read_conversations(tmp_path / "none.jsonl")
    (tmp_path / "bad.jsonl").write_text(json.dumps(MESSAGES) + '\n{"a": 1}\n')
    with pytest.raises(ValueError, match="line 2: expected 'messages'"):
        read_conversations(tmp_path / "bad.jsonl", strict=True)


def test_a_split_keeps_equal_questions_together():
    asked = [
        Conversation((("system", str(i)), ("user", f"Question  {i % 60}?".upper() if i % 2 else f"question {i % 60}?"),
                      ("assistant", str(i))))
        for i in range(180)
    ]  # fmt: skip
    split = split_conversations(asked, (0.6, 0.2, 0.2), seed=1)
    parts = [{each.messages[1][1].lower().split()[1] for each in part} for part in vars(split).values()]
    assert sum(map(len, parts)) == 60
    assert sum(len(part) for part in vars(split).values()) == 180
    with pytest.raises(ValueError, match="2 conversations are too few for three parts"):
        split_conversations(asked[:2])
