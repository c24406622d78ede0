"""Model cards: metadata that Hugging Face reads, and a text that tells what the files tell, each beside its model."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from card_yaml import parsed
from cli_runs import call, pretrain, write_text

from tinygrad_llm.hub import load_pretrained, refresh_card, save_adapter, save_pretrained
from tinygrad_llm.hub.model_card_text import plain
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.nn import add_lora

PRETRAINED = Path(__file__).parents[1] / "lessons" / "pretrained"
HOSTILE = 'a": b\n---\n- x: `|` <script>\u2028\u202e*_[c](http://d)'
COLUMNS = ["--text-column", "sentence", "--label-column", "kind"]


def metadata_and_body(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    assert text.split("\n").count("---") == 2, "nothing closes the metadata but their end"
    head, body = text.removeprefix("---\n").split("\n---\n")
    return parsed(head), body


def section(body: str, title: str) -> str:
    return body.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a file with a hostile name, and what it printed."""
    folder = tmp_path_factory.mktemp("card")
    text = write_text(folder / f"{HOSTILE.replace('/', ':')}.txt")
    return folder / "run", pretrain(folder / "run", text, "--license", "CC-BY-4.0")


def test_the_card_of_a_run(run):
    folder, shown = run
    metadata, body = metadata_and_body(folder)
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    assert "model card" in shown
    assert (metadata["license"], metadata["library_name"]) == ("cc-by-4.0", "tinygrad_llm")
    assert metadata["pipeline_tag"] == "text-generation"
    assert metadata["tags"] == ["tinygrad_llm", "gpt"]
    assert "language" not in metadata, "nobody said in which language the file is"
    (model,) = metadata["model-index"]
    (result,) = model["results"]
    assert result["task"] == {"type": "text-generation"}
    assert result["dataset"] == {"name": "own files", "type": "own-files", "split": "validation"}
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values["bits_per_byte"] == pytest.approx(summary["val_bits_per_byte"], rel=1e-5)
    assert set(values) == {"bits_per_byte", "perplexity", "loss"}
    assert model["name"] == f"GPT with {summary['parameters']:,} parameters"
    assert body.count("\n# ") == 1
    titles = ["Data", "Size", "Training", "Results", "Bias and memorisation", "Energy", "Limits"]
    assert re.findall("\n## (.*)", body) == titles, "a hostile name makes no heading"
    assert "<script>" not in re.sub("`[^\n]*`", "", body)
    assert str(folder.parent) not in body, "a card may be published: it does not tell where things were"
    assert "Their licence is `CC-BY-4.0`" in section(body, "Data")
    assert "kept 1 of 1 documents" in section(body, "Data")
    assert f"| parameters | {summary['parameters']:,} |" in section(body, "Size")
    assert "| context, in tokens | 16 |" in section(body, "Size")
    assert "| steps | 6 |" in section(body, "Training")
    assert f"| bits per byte | {summary['val_bits_per_byte']:.3f} |" in section(body, "Results")
    assert "`tinygrad-llm audit --from FOLDER` measures it" in section(body, "Bias and memorisation")
    assert plain(summary["energy"]["assumption"]) in section(body, "Energy")
    assert "at most 16 tokens at once" in section(body, "Limits")
    assert f"lzma, which has read the same text, predicts it better: {summary['lzma_primed_bits_per_byte']:.3f}" in body


def test_a_card_that_was_edited_is_kept(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    card = folder / "README.md"
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    (folder / "summary.json").write_text(json.dumps(summary | {"tokens": 123456}))
    assert refresh_card(folder)
    assert "| tokens | 123,456 |" in card.read_text("utf-8")
    card.write_bytes(card.read_bytes().replace(b"\n", b"\r\n"))
    assert refresh_card(folder), "other ends of lines, as git may write them, are no edit"
    for edited in (card.read_text("utf-8").replace("cc-by-4.0", "mit"), card.read_text("utf-8") + "Mine.\n", "Mine.\n"):
        card.write_text(edited, encoding="utf-8")
        assert not refresh_card(folder)
        assert card.read_text("utf-8") == edited
    card.write_bytes(b"\xff\xfe mine")
    assert not refresh_card(folder)


def test_an_audit_is_in_the_card(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    interval = {"value": 0.25, "low": 0.125, "high": 0.5, "confidence": 0.95}
    audit = {"bias": {"flowers": {"effect": interval, "words\n## of": 3, "control": True}}, "seed": 7}
    audit |= {"extracted": ["x"] * 7, "note": "# <b>\n---", "none": None}
    (folder / "audit.json").write_text(json.dumps(audit))
    assert refresh_card(folder)
    found = section(metadata_and_body(folder)[1], "Bias and memorisation")
    assert r"- **bias, flowers**: effect 0.25 (0.125 to 0.5), words \#\# of 3, control yes" in found
    assert "- extracted (7 in audit.json)" in found
    assert r"- note \# \<b\> ---" in found
    assert "- seed 7\n" in found
    assert "Not measured" not in found
    (folder / "audit.json").write_text("{")
    with pytest.raises(ValueError, match=r"audit.json' is damaged"):
        refresh_card(folder)


def test_a_run_without_results_and_one_with_damaged_ones(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    (folder / "summary.json").unlink()  # as where it was stopped, or is of an earlier version
    assert refresh_card(folder)
    metadata, body = metadata_and_body(folder)
    assert "model-index" not in metadata
    assert section(body, "Results").strip() == section(body, "Energy").strip() == "Not documented: fill in."
    assert f"| parameters | {summary['parameters']:,} |" in body, "counted in the file of weights"
    before = (folder / "README.md").read_bytes()
    (folder / "summary.json").write_text(json.dumps(summary | {"energy": ["x"]}))
    with pytest.raises(ValueError, match=r"a \.json file in .* is damaged"):
        refresh_card(folder)
    assert (folder / "README.md").read_bytes() == before


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(ValueError, match="holds no model to write a card of"):
        refresh_card(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_licence_and_one_that_hugging_face_has_no_name_for(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for license, wanted in {"": {"license": "unknown"}, "Mine": {"license": "other", "license_name": "mine"}}.items():
        config["config"]["license"] = license
        (folder / "config.json").write_text(json.dumps(config))
        refresh_card(folder)
        metadata, body = metadata_and_body(folder)
        assert {key: value for key, value in metadata.items() if key.startswith("license")} == wanted
        assert ("licence is not documented: fill in" in body) == (license == "")
    config["config"] |= {"corpus": [], "embedded_corpus": "prose"}
    (folder / "config.json").write_text(json.dumps(config))
    refresh_card(folder)
    metadata, body = metadata_and_body(folder)
    assert (metadata["license"], metadata["license_name"], metadata["language"]) == ("other", "psf-2.0", ["en"])
    assert "Python Software Foundation License, version 2" in body


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_a_model_alone(name, tmp_path):
    pretrained = load_pretrained(PRETRAINED / name)
    save_pretrained(pretrained.model, tmp_path / "model", pretrained.tokenizer)
    metadata, body = metadata_and_body(tmp_path / "model")
    assert metadata["library_name"] == "transformers"
    assert metadata["pipeline_tag"] == ("fill-mask" if name == "bert" else "text-generation")
    assert metadata["license"] == "unknown"
    assert "model-index" not in metadata
    assert section(body, "Training").strip() == "Not documented: fill in."
    assert f"| parameters | {pretrained.model.num_parameters():,} |" in body
    assert f"| layers | {pretrained.model.config.n_layers} |" in body
    assert f"| vocabulary | {pretrained.model.config.vocab_size:,} |" in body


def test_an_adapter(tmp_path):
    model = GPT(GPTConfig(20, 8, 2, 2, 8))
    add_lora(model, 3, 6, rng=np.random.default_rng(0))
    save_adapter(model, tmp_path / "adapter", "/home/someone/models/small gpt\n---")
    metadata, body = metadata_and_body(tmp_path / "adapter")
    assert metadata["library_name"] == "peft"
    assert "base_model" not in metadata, "that is no name that Hugging Face could have"
    assert "someone" not in body
    assert "rank 3, alpha 6" in body
    save_adapter(model, tmp_path / "other", "models/gpt2/")
    assert metadata_and_body(tmp_path / "other")[0]["base_model"] == "gpt2"


def write_table(path):
    rows = [f"number {i}: a {('dog', 'saw')[i % 2]} in the house,{('animal', 'tool')[i % 2]},{i}" for i in range(40)]
    path.write_text("\n".join(["sentence,kind,number", *rows]), encoding="utf-8")
    return path


def test_fine_tuned_and_rounded(tmp_path):
    table, out = write_table(tmp_path / "words.csv"), tmp_path / "model"
    options = ["--data", table, *COLUMNS, "--epochs", "1", "--batch-size", "8", "--license", "mit"]
    code, shown, error = call("finetune", "classify", "--from", PRETRAINED / "bert", *options, "--out", out)
    assert (code, error) == (0, "")
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert f"energy: {report['energy']['assumption']}" in shown
    assert report["tokens"] == report["history"][-1]["tokens"] > 32 * 5
    assert report["training_flops"] > 4 * 2 * 12 * 32**2 * report["tokens"]
    metadata, body = metadata_and_body(out)
    assert (metadata["license"], metadata["base_model"]) == ("unknown", "bert"), "the base's licence is not known"
    assert (metadata["pipeline_tag"], metadata["tags"][-1]) == ("text-classification", "classify")
    (result,) = metadata["model-index"][0]["results"]
    accuracy = {metric["type"]: metric["value"] for metric in result["metrics"]}["accuracy"]
    assert accuracy == report["test"]["accuracy"]["value"]
    assert "The author's own files: `words.csv`. Their licence is `mit`." in body
    assert "32 examples to train on, 4 to stop by, 4 to test the result" in body
    assert "2 classes and gives every text one of them: `animal`, `tool`" in body
    assert "It was tested on 4 examples" in body
    assert (out / "base" / "README.md").exists()

    assert call("quantize", "--from", out, "--out", tmp_path / "small")[0] == 0
    metadata, body = metadata_and_body(tmp_path / "small")
    assert metadata["tags"][-1] == "int8"
    assert "model-index" not in metadata, "what was measured is the model before"
    assert "Before its weights were rounded. On 4 examples" in body


def test_several_tasks_have_one_card(tmp_path):
    table, out = write_table(tmp_path / "words.csv"), tmp_path / "model"
    tasks = ["--task", f"first=classify:{table},text=sentence,label=kind"]
    tasks += ["--task", f"second=grade:{table},text=sentence,label=number"]
    options = ["--epochs", "1", "--batch-size", "8", "--lora-rank", "2"]
    code, _, error = call("finetune", *tasks, "--from", PRETRAINED / "bert", *options, "--out", out)
    assert (code, error) == (0, "")
    metadata, body = metadata_and_body(out)
    assert [result["task"]["type"] for result in metadata["model-index"][0]["results"]] == ["text-classification"] * 2
    assert "`first`: 32 examples to train on" in body
    assert body.count("kWh and") == 1, "one training, one figure"
    assert metadata_and_body(out / "adapter")[0]["base_model"] == "bert"
    (out / "second" / "audit.json").write_text('{"effect": 1}')
    assert refresh_card(out / "second")
    assert "`second`:\n\n- effect 1" in section(metadata_and_body(out)[1], "Bias and memorisation")
    assert not (out / "second" / "README.md").exists()


@pytest.mark.compare
def test_hugging_face_reads_the_metadata(run, tmp_path):
    from huggingface_hub import ModelCard

    folder = shutil.copytree(run[0], tmp_path / "run")
    metadata, body = metadata_and_body(folder)
    card = ModelCard.load(folder / "README.md", ignore_metadata_errors=False)
    assert card.data.license == "cc-by-4.0"
    assert card.data.pipeline_tag == metadata["pipeline_tag"]
    assert card.data.library_name == "tinygrad_llm"
    results = {each.metric_type: each for each in card.data.eval_results}
    assert results["perplexity"].metric_value == metadata["model-index"][0]["results"][0]["metrics"][1]["value"]
    assert results["perplexity"].dataset_split == "validation"
    assert card.text.strip() == body.strip()
