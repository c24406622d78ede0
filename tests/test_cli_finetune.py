"""`tinygrad-llm finetune` on tables of the user's, and the commands that use what it made."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import call

from tinygrad_llm.hub import load_adapter
from tinygrad_llm.train.fine_tuned import load_fine_tuned, open_model

BERT = Path(__file__).parents[1] / "lessons" / "pretrained" / "bert"
GPT2, LLAMA = BERT.parent / "gpt2", BERT.parent / "llama"
WORDS = {"animal": ["dog", "cat", "mouse", "horse"], "tool": ["saw", "axe", "drill", "file"]}
FAST = ["--epochs", "2", "--batch-size", "8", "--max-seq-len", "32"]


def write_rows(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


@pytest.fixture
def table(tmp_path):
    """40 sentences, about animals or tools; and how long each is, as its grade."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(40):
        label = ("animal", "tool")[i % 2]
        words = [str(rng.choice(WORDS[label])) for _ in range(rng.integers(1, 5))]
        text = f"number {i}: a {' and a '.join(words)} in the {'garden' if rng.random() < 0.5 else 'house'}"
        rows.append({"sentence": text, "kind": label, "length": str(len(words)), "note": "x"})
    return write_rows(tmp_path / "words.csv", rows)


def classify_options(table, out, base=BERT):
    return ["finetune", "classify", "--from", str(base), "--data", table, "--text-column", "sentence",
            "--label-column", "kind", "--out", str(out), *FAST]  # fmt: skip


def test_classes_from_a_table_to_answers(table, tmp_path):
    out = tmp_path / "model"
    code, shown, error = call(*classify_options(table, out))
    assert (code, error) == (0, "")
    assert "32 examples to train on, 4 to stop by, 4 to test the result" in shown
    assert "macro-F1 of logistic regression" in " ".join(shown.split())
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert {"accuracy", "macro-F1", "expected calibration error"} <= set(report["test"])
    interval = report["test"]["accuracy"]
    assert interval["low"] <= interval["value"] <= interval["high"]
    assert [step["step"] for step in report["history"]] == [2, 4, 6, 8]
    assert (out / "confusion.png").stat().st_size > 5000
    assert len(report["worst_mistakes"]) <= 5

    code, shown, _ = call("classify", "a dog and a cat", "an axe", "--from", str(out), "--json")
    lines = [json.loads(line) for line in shown.splitlines()]
    assert code == 0
    assert [line["text"] for line in lines] == ["a dog and a cat", "an axe"]
    assert all(line["label"] in WORDS and 0.5 <= line["probability"] <= 1 for line in lines)
    fine_tuned = load_fine_tuned(out)
    assert fine_tuned.task.classes == ["animal", "tool"]
    assert fine_tuned.max_seq_len == 32


@pytest.mark.parametrize("base", [GPT2, LLAMA], ids=["gpt2", "llama"])
def test_other_models_are_bases_too(base, table, tmp_path):
    assert call(*classify_options(table, tmp_path / "model", base))[0] == 0
    assert call("classify", "a dog", "--from", str(tmp_path / "model"))[0] == 0
    model, _ = open_model(tmp_path / "model")
    assert type(model).__name__ == {"gpt2": "GPT", "llama": "Llama"}[base.name]


def test_adapters_beside_a_frozen_base(table, tmp_path):
    out = tmp_path / "model"
    code, _, error = call(*classify_options(table, out), "--lora-rank", "2", "--learning-rate", "1e-2")
    assert (code, error) == (0, "")
    adapter = json.loads((out / "adapter" / "adapter_config.json").read_text("utf-8"))
    assert (adapter["r"], adapter["lora_alpha"]) == (2, 4)
    before, after = (dict(open_model(folder)[0].named_parameters()) for folder in (BERT, out))
    changed = {name for name in before if not np.array_equal(before[name].data, after[name].data)}
    assert changed
    assert all(name.startswith("blocks.") and name.endswith("weight") for name in changed)
    with_adapter, ids = open_model(BERT)[0], np.arange(10)[None]
    load_adapter(with_adapter, out / "adapter")
    np.testing.assert_allclose(with_adapter.eval()(ids).data, open_model(out)[0].eval()(ids).data, atol=1e-5)

    small = tmp_path / "int8"
    assert call("quantize", "--from", str(BERT), "--out", str(small))[0] == 0
    code, _, error = call(*classify_options(table, tmp_path / "b", small))
    assert (code, "bytes do not learn: train adapters beside them by --lora-rank 8" in error) == (2, True)
    assert call(*classify_options(table, tmp_path / "b", small), "--lora-rank", "2")[0] == 0
    assert call("classify", "a dog", "--from", str(tmp_path / "b"))[0] == 0


def test_answers_from_scratch(tmp_path):
    """Names are drawn anew each time, so where they stand is all there is to learn."""
    out = tmp_path / "model"
    options = ["--embedded", "questions", "--max-examples", "60", "--rename", "--by-words", "--epochs", "0.5"]
    code, shown, error = call("finetune", "answer", "--from", "scratch", *options, "--out", str(out))
    assert (code, error) == (0, "")
    assert "BERT with 381,026 parameters" in shown
    assert load_fine_tuned(out).task.by_words
    config = json.loads((out / "report.json").read_text("utf-8"))["config"]
    assert (config["muon_factor"], config["epochs"]) == (2.5, 0.5)
    story = tmp_path / "f.txt"
    story.write_text("def f(a, b=3)", encoding="utf-8")
    code, shown, _ = call("answer", "What is the default of `b`?", "--context", str(story), "--from", str(out))
    assert code == 0


def test_grades(table, tmp_path):
    out = tmp_path / "model"
    options = ["finetune", "grade", "--from", str(BERT), "--data", table, "--text-column", "sentence",
               "--label-column", "length", "--out", str(out), *FAST]  # fmt: skip
    code, shown, error = call(*options)
    assert (code, error) == (0, "")
    found = json.loads((out / "report.json").read_text(encoding="utf-8"))["test"]
    assert found["mean absolute error"]["value"] > 0
    assert found["mean absolute error of always the mean"] > 0
    code, shown, _ = call("grade", "a dog", "--from", str(out), "--json")
    assert code == 0
    assert 0 < json.loads(shown)["number"] < 6


def test_answers(tmp_path):
    rows = [
        {"q": f"what is in box {i}?", "c": f"box {i} holds a {word}.", "a": word}
        for i, word in enumerate(WORDS["animal"] * 5 + WORDS["tool"] * 5)
    ]
    out = tmp_path / "model"
    columns = ["--question-column", "q", "--context-column", "c", "--answer-column", "a"]
    data = write_rows(tmp_path / "boxes.csv", rows)
    code, shown, error = call(
        "finetune", "answer", "--from", str(BERT), "--data", data, *columns, "--out", str(out), *FAST
    )
    assert (code, error) == (0, "")
    assert "exact match" in shown
    story = tmp_path / "story.txt"
    story.write_text("box 7 holds a horse.", encoding="utf-8")
    code, shown, _ = call("answer", "what is in box 7?", "--context", str(story), "--from", str(out), "--json")
    found = json.loads(shown)
    assert code == 0
    assert "box 7 holds a horse."[found["start"] :].startswith(found["answer"])


def test_bad_rows_are_told_and_left_out(table, tmp_path):
    path = Path(table)
    path.write_text(path.read_text(encoding="utf-8") + ",animal,3,x\n", encoding="utf-8")
    code, shown, _ = call(*classify_options(table, tmp_path / "model"))
    assert code == 0
    assert "1 bad row left out" in shown
    assert "line 42" in shown


def test_vectors_and_search(tmp_path):
    code, shown, _ = call("embed", "a dog", "--from", str(BERT))
    assert code == 0
    assert len(json.loads(shown)["vector"]) == 32
    notes = tmp_path / "notes.txt"
    notes.write_text("sort the list\n\nopen a file\nreturn the length\n", encoding="utf-8")
    code, shown, _ = call("search", "open a file", "--in", str(notes), "--from", str(BERT), "-k", "2", "--json")
    hits = [json.loads(line) for line in shown.splitlines()]
    assert code == 0
    assert hits[0]["text"] == "open a file"
    assert hits[0]["source"] == f"{notes}:3"
    assert len(hits) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--label-column", "stars"], "stars"),
        (["--embedded", "packages"], "give the examples by --data FILE, or take some of Python's own"),
        (["--dropout", "1.5"], "--dropout must be at least 0 and below 1, not 1.5"),
        (["--layer-decay", "2"], "layer_decay"),
        (["--epochs", "x"], "must be a number"),
        (["--frozen-blocks", "9"], "at most the 2 blocks that the model has, not 9"),
        (["--rename"], "--rename and --by-words are about answers in a text"),
        (["--muon-factor", "2"], "layer_decay must be 1 and frozen_blocks 0"),
        (["--lora-rank", "-1"], "--lora-rank must be at least 0"),
        (["--lora-alpha", "2"], "--lora-alpha goes with a rank above that"),
        (["--lora-rank", "2", "--frozen-blocks", "1"], "frozen_blocks does not go with adapters"),
        (["--from", "nowhere"], "give the folder of a run, or of a model in Hugging Face's layout"),
    ],
)
def test_mistakes_cost_one_sentence(changes, message, table, tmp_path):
    code, _, error = call(*classify_options(table, tmp_path / "model"), *changes)
    assert code == 2
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "model").exists()


def test_more_mistakes(table, tmp_path):
    code, _, error = call("finetune", "grade", "--from", str(BERT), "--embedded", "packages")
    assert (code, "are for classify, not for grade" in error) == (2, True)
    code, _, error = call("finetune", "answer", "--from", str(BERT), "--embedded", "x")
    assert (code, "must be one of packages, pairs, grades, questions" in error) == (2, True)
    assert call(*classify_options(table, tmp_path / "model"))[0] == 0
    code, _, error = call("grade", "a dog", "--from", str(tmp_path / "model"))
    assert (code, "was fine-tuned to classify, not to grade: use tinygrad-llm classify" in error) == (2, True)
    code, _, error = call(*classify_options(table, tmp_path / "model"))
    assert (code, "exists and is not empty: choose another folder with --out" in error) == (2, True)
    (tmp_path / "model" / "head.safetensors").write_bytes(b"x")
    code, _, error = call("classify", "a dog", "--from", str(tmp_path / "model"))
    assert (code, "is damaged" in error) == (2, True)
    code, _, error = call("classify", "a dog", "--from", str(BERT))
    assert (code, "task.json' is missing: give the folder that `tinygrad-llm finetune` made" in error) == (2, True)
    code, _, error = call("search", "x", "--from", str(GPT2), "--in", table)
    assert (code, "needs a BERT, which looks both ways, not a GPT" in error) == (2, True)
