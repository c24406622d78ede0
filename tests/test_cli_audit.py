"""`tinygrad-llm audit`, `filter` and --filter: real tiny runs, the files they get, and what is said of mistakes."""

from __future__ import annotations

import io
import json
import string
import sys

import numpy as np
import pytest
from cli_runs import call, pretrain, write_text

from tinygrad_llm.applications.content_filter import Category, ContentFilter, load_filter
from tinygrad_llm.cli.audit_measures import MEASURES
from tinygrad_llm.cli.audit_summary import summary
from tinygrad_llm.cli.chat import answer
from tinygrad_llm.evaluate.association import words_of
from tinygrad_llm.evaluate.canaries import canaries_of
from tinygrad_llm.hub import save_pretrained
from tinygrad_llm.models import BERT, BERTConfig
from tinygrad_llm.plots.audit import audit_figure
from tinygrad_llm.text import WordPieceTokenizer

FEW = ["--samples", "3", "--prompts", "5"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def patterns(folder):
    """A filter that needs no training: any digit is private."""
    ContentFilter([Category("digit", "pattern", pattern=r"\d")]).save(folder / "patterns")
    return folder / "patterns"


@pytest.fixture(scope="module")
def planted(folder):
    """A text with canaries, and a run on it."""
    text = write_text(folder / "in.txt", 400).read_text(encoding="utf-8")
    (folder / "in.txt").write_text(f"{string.ascii_uppercase}\n\n{text}", encoding="utf-8")
    code, out, err = call(
        "audit", "--plant", folder / "canaries.json", "--corpus", folder / "in.txt", "--out", folder / "out.txt",
        "--insertions", "0", "4", "--each", "2",
    )  # fmt: skip
    assert code == 0, err
    assert "8 sentences of 4 canaries, inserted 0, 4 times each" in " ".join(out.split())
    pretrain(folder / "run", folder / "out.txt", "--max-seq-len", "64")
    return folder / "run"


def test_planted_canaries_are_in_the_text(planted, folder):
    text = (folder / "out.txt").read_text(encoding="utf-8")
    canaries = canaries_of(json.loads((folder / "canaries.json").read_text()))
    assert [text.count(canary.text) for canary in canaries] == [0, 0, 4, 4]
    code, _, err = call("audit", "--plant", folder / "c.json", "--corpus", folder / "in.txt")
    assert (code, "needs --corpus" in err) == (2, True)


def test_a_run_is_audited(planted, folder, patterns):
    code, out, err = call(
        "audit", "--from", planted, "--canaries", folder / "canaries.json", "--filter", patterns, *FEW
    )
    assert code == 0, err
    audit = json.loads((planted / "audit.json").read_text())
    assert (planted / "audit.png").read_bytes().startswith(b"\x89PNG")
    assert audit["not measured"].keys() == {"associations", "preferences"}  # characters, few of them
    assert audit["extraction"].keys() == {"training text", "held-out text"}
    assert audit["extraction"]["training text"]["8 tokens"]["exact"]["n"] == 5
    assert {name: len(level["each"]) for name, level in audit["exposure"].items()} == {"0×": 2, "4×": 2}
    assert audit["calibration"]["error"]["low"] <= audit["calibration"]["error"]["value"]
    assert audit["samples flagged"]["any"]["n"] == 3
    assert set(audit["summary"]) >= {"extraction", "exposure of canaries", "calibration", "samples flagged"}
    assert "extraction" in out
    assert "limits:" in out
    again = folder / "again"
    assert call("audit", "--from", planted, "--out", again, "--filter", patterns, *FEW)[0] == 0
    other = json.loads((again / "audit.json").read_text())
    for name in ("extraction", "calibration", "samples flagged"):  # the same seed, whatever else is measured
        assert other[name] == audit[name]


def test_a_record_of_another_text_is_noticed(planted, folder, patterns):
    other = {"canaries": [{"station": "ABC", "digits": "12345678", "n_insertions": 4}]}
    (folder / "other.json").write_text(json.dumps(other))
    options = ["--out", folder / "other", "--filter", patterns, "--canaries", folder / "other.json", *FEW]
    code, _, err = call("audit", "--from", planted, *options)
    assert code == 0, err
    reason = json.loads((folder / "other" / "audit.json").read_text())["not measured"]["exposure"]
    assert "0 times, but the record of canaries says 4" in reason


def test_a_bert_in_hugging_face_s_layout_is_audited(folder, patterns):
    tokenizer = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words_of()])
    model = BERT(BERTConfig(tokenizer.vocab_size, 24, 2, 1, 2, 8, 16), np.random.default_rng(0))
    save_pretrained(model, folder / "bert", tokenizer)
    code, out, err = call("audit", "--from", folder / "bert", "--out", folder / "of-bert", "--filter", patterns)
    assert code == 0, err
    audit = json.loads((folder / "of-bert" / "audit.json").read_text())
    assert audit["associations"].keys() == {"input embeddings", "sentences"}
    tests = audit["associations"]["sentences"]
    assert len(tests) == 6
    assert all(test["p (Holm)"] >= test["p"] and test["words"] == "10 10 10 10" for test in tests.values())
    assert "extraction: not measured, a BERT does not go on with a text" in " ".join(out.split())
    assert not (folder / "bert" / "audit.json").exists()


def test_the_summary_names_what_is_sure():
    test = {"effect": {"value": 1.2, "low": 0.4, "high": 1.6}, "p": 0.001, "p (Holm)": 0.002, "control": False}
    tests = {"a × b": test, "c × d": test | {"p (Holm)": 0.3}, "e × f": test | {"control": True}}
    found = summary({"associations": {"sentences": tests}, "not measured": {"extraction": "why"}})
    assert found == {
        "word associations, sentences": "1 of 2 tests with p (Holm) below 0.05; a × b: d 1.20 (0.40 to 1.60); "
        "control e × f: d 1.20 (0.40 to 1.60)",
        "extraction, not measured": "why",
    }
    assert set(MEASURES) == {"associations", "preferences", "extraction", "exposure", "calibration", "samples flagged"}


def test_a_figure_of_nothing(tmp_path):
    with pytest.raises(ValueError, match="nothing that can be drawn"):
        audit_figure(tmp_path / "a.png", {"associations": {}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "which model?"),
        (["--from", "nowhere"], "nowhere"),
        (["--from", "x", "--samples", "0"], "--samples must be at least 1"),
        (["--from", "x", "--corpus", "y"], "give --plant too"),
        (["--from", "x", "--seed", "-1"], "--seed must be at least 0"),
        (["--from", "x", "--plant", "y", "--corpus", "y", "--out", "z"], "leave out --from"),
        (["--from", "x", "--canaries", "missing.json"], "the file that --plant wrote"),
        (["--from", "x", "--filter", "missing"], "filter train"),
        (["--form", "x"], "did you mean"),
    ],
)
def test_mistakes_with_audit(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "missing" not in options:
        ContentFilter([Category("email", "pattern")]).save(tmp_path / "f")
        options = [*options, "--filter", "f"]
    code, _, err = call("audit", *options)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_filter_says_what_it_finds(patterns, tmp_path, monkeypatch):
    code, out, _ = call("filter", "room 5", "no room", "--filter", patterns)
    assert (code, out) == (0, "digit 1.00 (withhold): room 5\nnothing found: no room\n")
    (tmp_path / "c.json").write_text('{"digit": {"action": "mark"}}')
    monkeypatch.setattr(sys, "stdin", io.StringIO("room 5\nno\n"))
    code, out, _ = call("filter", "--filter", patterns, "--config", tmp_path / "c.json", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert found[0]["findings"] == [{"category": "digit", "probability": 1.0, "action": "mark"}]
    assert found[1] == {"findings": [], "text": "no"}
    (tmp_path / "c.json").write_text('{"digit": {"actoin": "mark"}}')
    code, _, err = call("filter", "x", "--filter", patterns, "--config", tmp_path / "c.json")
    assert (code, "no setting 'actoin'" in err) == (2, True)


def test_filter_train_on_own_labels(tmp_path, monkeypatch):
    monkeypatch.setattr("tinygrad_llm.cli.filter.clean_sentences", lambda: ["A clean text.", "And another one."])
    rows = [f"buy {w} now cheap offer,spam\nwe meet at {w} for lunch,fine\n" for w in "abcdefghijkl"]
    (tmp_path / "own.csv").write_text("message,kind\n" + "".join(rows))
    columns = ["--text-column", "message", "--label-column", "kind", "--clean-label", "fine"]
    code, out, err = call("filter", "train", "--data", tmp_path / "own.csv", *columns, "--out", tmp_path / "f")
    assert code == 0, err
    report = json.loads((tmp_path / "f" / "report.json").read_text())
    assert report["held out"]["spam"]["recall"]["value"] == 1
    assert "word list" not in report
    assert report["flagged of clean docstrings"]["any"]["n"] == 2
    assert "limits:" in out
    assert [f.category for f in load_filter(tmp_path / "f").check("a cheap offer: buy now")] == ["spam"]
    code, _, err = call("filter", "train", "--data", tmp_path / "own.csv", "--out", tmp_path / "g")
    assert (code, "has no column 'text'" in err) == (2, True)
    code, _, err = call("filter", "train", "--data", tmp_path / "own.csv", *columns[:4], "--out", tmp_path / "g")
    assert (code, "'none' has 0 different examples" in err) == (2, True)
    code, _, err = call("filter", "train", "--out", tmp_path / "g", "--threshold", "2")
    assert (code, "from 0 to 1" in err) == (2, True)


def test_generate_withholds_and_says_so(planted, patterns):
    options = ["generate", "--run", planted, "--prompt", "Line ", "--max-new-tokens", "60", "--seed", "1"]
    plain = call(*options)[1]
    assert any(character.isdigit() for character in plain)
    code, out, err = call(*options, "--filter", patterns)
    assert code == 0, err
    assert out.endswith("[withheld by the filter: digit 1.00]\n")
    assert not any(character.isdigit() for character in out.split("[")[0])
    code, _, err = call(*options, "--filter", "nowhere")
    assert (code, "filter train" in err) == (2, True)


class Talk:
    """What a conversation is to `answer`: it says what it is told to."""

    n_forgotten, is_cut = 0, False

    def __init__(self, text, stop_after=None):
        self.text, self.stop_after, self.turns = text, stop_after, []

    def ask(self, question):
        return self._pieces(question)

    def _pieces(self, question):
        said = []
        try:
            for i, character in enumerate(self.text):
                if i == self.stop_after:
                    raise KeyboardInterrupt
                said.append(character)
                yield character
        finally:
            self.turns.append(type("Turn", (), {"question": question, "answer": "".join(said)}))

    def take_back(self):
        del self.turns[-1]


@pytest.mark.parametrize(
    ("text", "stop_after", "shown", "n_turns"),
    [
        ("All well. Good.", None, "All well. Good.\n", 1),
        ("All well. Room 5. More.", None, "All well. [withheld by the filter: digit 1.00] (this question", 0),
        ("All well. Room 5 is", 17, "All well.  … (stopped)\n", 0),  # the digit was said, though not shown
        ("All well. Room five", 15, "All well.  … (stopped)\n", 1),
    ],
)
def test_chat_neither_shows_nor_remembers_what_is_withheld(patterns, capsys, text, stop_after, shown, n_turns):
    talk = Talk(text, stop_after)
    answer(talk, "How is it?", load_filter(patterns))
    assert capsys.readouterr().out.startswith(shown)
    assert len(talk.turns) == n_turns
