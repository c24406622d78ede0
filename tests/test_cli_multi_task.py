"""`tinygrad-llm finetune --task a=… --task b=…`, and files of texts in and JSONL out."""

import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import call
from test_cli_finetune import BERT, write_rows

from tinygrad_llm.cli.finetune_tasks import _parsed
from tinygrad_llm.data import SpanColumns, TextColumns
from tinygrad_llm.train.fine_tuned import load_fine_tuned, open_model

FAST = ["--epochs", "2", "--batch-size", "8", "--max-seq-len", "32", "--from", str(BERT)]


@pytest.fixture
def tables(tmp_path):
    """30 texts with a topic, 30 with a number, 30 questions."""
    rng, texts = np.random.default_rng(0), []
    for i in range(30):
        words = rng.choice(["dog", "cat"] if i % 2 else ["saw", "axe"], rng.integers(1, 5)).tolist()
        texts.append((i, f"number {i}: {' and '.join(words)}", "animal" if i % 2 else "tool", words))
    topics = [{"note": text, "kind": kind} for _, text, kind, _ in texts]
    numbers = [{"text": text, "label": len(words)} for _, text, _, words in texts]
    questions = [{"question": f"what is number {i}?", "context": text, "answer": w[0]} for i, text, _, w in texts]
    tables = {"topics": topics, "numbers": numbers, "questions": questions}
    return [write_rows(tmp_path / f"{name}.csv", rows) for name, rows in tables.items()]


def test_three_tasks_on_one_base(tables, tmp_path):
    topics, numbers, questions = tables
    out = tmp_path / "model"
    tasks = ["--task", f"topic=classify:{topics},text=note,label=kind", "--task", f"many=grade:{numbers}",
             "--task", f"find=answer:{questions}"]  # fmt: skip
    code, shown, error = call("finetune", *tasks, "--compare-alone", "--out", str(out), *FAST)
    assert (code, error) == (0, "")
    assert "topic: 24 examples to train on, 4 to stop by, 2 to test the result" in shown
    reports = {name: json.loads((out / name / "report.json").read_text("utf-8")) for name in ("topic", "many", "find")}
    assert "macro-F1" in reports["topic"]["test"]
    assert "root mean squared error of ridge regression on n-grams" in reports["many"]["test"]
    assert "exact match of the word nearest to the question's words" in reports["find"]["test"]
    assert {path.name for path in (out / "topic").glob("*.png")} == {"calibration.png", "confusion.png"}
    steps, history = reports["topic"]["steps"], reports["topic"]["history"]
    assert sum(steps.values()) == history[-1]["step"] == 18
    assert set(history[-1]["scores"]) == set(steps) == {"topic", "many", "find"}
    assert history[-1]["score"] == pytest.approx(np.mean(list(history[-1]["scores"].values())))
    for name, count in steps.items():
        assert f"{name} alone, {count} steps" in shown
    comparison = json.loads((out / "comparison.json").read_text("utf-8"))
    assert all(set(scores) == {"together", "alone"} for scores in comparison.values())

    assert len(list(out.rglob("model.safetensors"))) == 1
    for name, kind in (("topic", "classify"), ("many", "grade"), ("find", "answer")):
        assert load_fine_tuned(out / name).task.kind == kind
    assert type(open_model(out)[0]).__name__ == "BERT"
    assert call("classify", "a dog", "--from", str(out / "topic"))[0] == 0
    code, _, error = call("classify", "a dog", "--from", str(out))
    assert (code, "holds several tasks: give the folder of one in it, find, many, topic" in error) == (2, True)


def test_how_a_task_is_written():
    task = _parsed("mood=classify:reviews.csv,text=review,pair=title")
    assert (task.name, task.kind, task.files) == ("mood", "classify", ("reviews.csv",))
    assert task.columns == TextColumns("review", "title", "label")
    assert _parsed("qa=answer:a.jsonl,start=at").columns == SpanColumns(start="at")
    assert _parsed("n=grade:a.csv").columns.numeric
    assert (_parsed("x=packages").embedded, _parsed("x=packages").kind) == ("packages", "classify")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name one task, classify, grade, answer, or several by --task NAME="),
        (["classify", "--task", "a=packages"], "name one task"),
        (["--task", "a=packages", "--task", "a=grades"], "two tasks have the same name"),
        (["--task", "a=packages", "--data", "x.csv"], "each names its own"),
        (["--task", "packages"], "--task must be NAME="),
        (["--task", "base=packages"], "other than base"),
        (["--task", "a/b=packages"], "--task must be NAME="),
        (["--task", "a=package"], "no embedded examples are called 'package'"),
        (["--task", "a=sort:x.csv"], "the kind must be one of classify, grade, answer, not 'sort'"),
        (["--task", "a=grade:x.csv,answer=b"], "grade has the columns text, pair, label"),
        (["--task", "a=grade:,text=b"], "after the file come columns"),
        (["--task", "a=grade:none.csv"], "there is no file 'none.csv'"),
        (["--task", "a=grades", "--balanced"], "--balanced is about classes"),
        (["--task", "a=grades", "--compare-alone"], "--compare-alone goes with two tasks or more"),
        (["--task", "a=grades", "--temperature", "0.5"], "--temperature must be at least 1"),
    ],
)
def test_mistakes_cost_one_sentence(options, message, tmp_path):
    code, _, error = call("finetune", *options, "--out", str(tmp_path / "model"), *FAST)
    assert code == 2
    assert message in error
    assert not (tmp_path / "model").exists()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A classifier and an answerer, hardly trained."""
    folder = tmp_path_factory.mktemp("models")
    texts = [{"text": f"{word} {i}", "label": word} for i in range(10) for word in ("dog", "saw")]
    boxes = [{"question": f"box {i}?", "context": f"box {i} holds it", "answer": "it"} for i in range(20)]
    for task, rows in (("classify", texts), ("answer", boxes)):
        data = write_rows(folder / f"{task}.csv", rows)
        assert call("finetune", task, "--data", data, "--out", str(folder / task), "--epochs", "0.5", *FAST[2:])[0] == 0
    return folder


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def test_a_table_in_and_jsonl_out(models, tmp_path):
    table, out = tmp_path / "texts.csv", tmp_path / "labels.jsonl"
    rows = "".join(f'"dog, number {i}"\n' for i in range(300))
    table.write_text(f'note\n{rows}\n""\nlast é\n', encoding="utf-8")
    options = ["--from", str(models / "classify"), "--file", str(table), "--text-column", "note"]
    code, shown, error = call("classify", *options, "--out", str(out))
    assert (code, shown) == (0, "")
    assert "301 examples; 1 bad row left out" in error
    assert "301/301" in error
    found = lines_of(out)
    assert [row["text"] for row in found] == [*(f"dog, number {i}" for i in range(300)), "last é"]
    assert found[-1]["source"] == f"{table}:304"
    code, shown, _ = call("classify", "dog, number 299", "--json", "--from", str(models / "classify"))
    alone = json.loads(shown)
    assert alone["label"] == found[299]["label"]
    assert alone["probability"] == pytest.approx(found[299]["probability"], abs=2e-4)

    before = out.read_bytes()
    code, _, error = call("classify", *options, "--out", str(out))
    assert (code, "exists: choose another --out" in error) == (2, True)
    assert out.read_bytes() == before


def test_questions_from_a_file(models, tmp_path):
    table, story = tmp_path / "asked.jsonl", tmp_path / "story.txt"
    table.write_text('{"question": "box 3?", "context": "box 3 holds a cup"}\n', encoding="utf-8")
    code, shown, _ = call("answer", "--from", str(models / "answer"), "--file", str(table), "--json")
    assert code == 0
    assert json.loads(shown)["answer"] in "box 3 holds a cup"
    story.write_text("box 3 holds a cup", encoding="utf-8")
    (tmp_path / "asked.txt").write_text("box 3?\n\nbox 4?\n", encoding="utf-8")
    options = ["--context", str(story), "--file", str(tmp_path / "asked.txt"), "--json"]
    code, shown, _ = call("answer", "--from", str(models / "answer"), *options)
    assert [json.loads(line)["source"].rpartition(":")[2] for line in shown.splitlines()] == ["1", "3"]
    code, _, error = call("answer", "who?", "--from", str(models / "answer"))
    assert (code, "give its file by --context" in error) == (2, True)


def test_vectors_of_a_file(tmp_path):
    (tmp_path / "a.txt").write_text("a dog\na cat\n", encoding="utf-8")
    out = tmp_path / "vectors.jsonl"
    assert call("embed", "--from", str(BERT), "--file", str(tmp_path / "a.txt"), "--out", str(out))[0] == 0
    assert [(row["text"], len(row["vector"])) for row in lines_of(out)] == [("a dog", 32), ("a cat", 32)]


def test_what_is_refused(models, tmp_path):
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    for options, message in (
        (["a dog", "--file", "x.txt"], "in the command or by --file, not both"),
        (["--file", str(tmp_path / "empty.txt")], "holds no text"),
        (["--file", str(tmp_path / "gone.csv")], "there is no file"),
        (["--file", str(models / "classify.csv"), "--text-column", "txt"], "did you mean 'text'?"),
    ):
        code, _, error = call("classify", *options, "--from", str(models / "classify"))
        assert (code, message in error) == (2, True), error
