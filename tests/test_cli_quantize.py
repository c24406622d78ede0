"""`tinygrad-llm quantize`: of a run, of a fine-tuned model, and of a folder in Hugging Face's layout."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_runs import call, pretrain, write_text

from tinygrad_llm.cli.parser import parse
from tinygrad_llm.cli.quantize import quantize
from tinygrad_llm.data.examples import TextExample
from tinygrad_llm.hub import load_pretrained
from tinygrad_llm.nn import quantize as quantize_model
from tinygrad_llm.nn import weight_bytes
from tinygrad_llm.nn.quantized import is_quantized
from tinygrad_llm.train import load_checkpoint, open_run
from tinygrad_llm.train.fine_tuned import FineTuned, load_fine_tuned, open_model, save_base, save_head
from tinygrad_llm.train.tasks import Classify

FOLDERS = Path(__file__).parents[1] / "lessons" / "pretrained"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    text = write_text(folder / "text.txt")
    pretrain(folder / "run", text, "--tokenizer", "bpe", "--vocab-size", "300", "--d-model", "64")
    return folder / "run"


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory):
    """A classifier as `finetune` leaves it, with a head that nothing was learned by."""
    folder = tmp_path_factory.mktemp("classifier")
    pretrained, task = load_pretrained(FOLDERS / "bert"), Classify(["good", "bad"])
    model = task.new_model(pretrained.model, [], 0.0, np.random.default_rng(0))
    model.head.weight.data *= 50
    save_base(pretrained.model, pretrained.tokenizer, folder)
    save_head(FineTuned(model, pretrained.tokenizer, task, 32), folder)
    return folder


def quantized(source: Path, out: Path, *options: str) -> str:
    """What the command prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert quantize(parse(["quantize", "--from", str(source), "--out", str(out), *options])) == 0
    return printed.getvalue()


def test_a_run_and_its_report(run, tmp_path):
    facts = json.loads(quantized(run, tmp_path / "int8", "--json"))
    model, _ = open_run(run).load_model()
    assert facts["dtype"] == "int8"
    assert facts["float32_bytes"] == weight_bytes(model)
    assert 0.25 < facts["bytes"] / facts["float32_bytes"] < 0.3
    code, out, _ = call("evaluate", "--run", run, "--json")
    assert code == 0
    assert facts["float32_perplexity"] == pytest.approx(json.loads(out)["perplexity"])
    assert facts["int8_perplexity"] == pytest.approx(facts["float32_perplexity"], rel=0.01)
    assert facts["int8_perplexity"] != facts["float32_perplexity"]
    weight = dict(model.named_parameters())[facts["at"]].data
    assert facts["largest_weight_there"] == np.abs(weight).max()
    assert facts["largest_rounding_error"] == pytest.approx(np.abs(weight).max() / 254, rel=0.2)  # half of 1/127 of it
    checkpoint = load_checkpoint(tmp_path / "int8" / "last.safetensors")
    assert sum(array.nbytes for array in checkpoint.weights.values()) == facts["bytes"]
    assert checkpoint.step == load_checkpoint(run / "best.safetensors").step
    for name in ("config.json", "tokenizer.json", "corpus.json", "val.tokens", "train.tokens"):
        assert (tmp_path / "int8" / name).read_bytes() == (run / name).read_bytes()
    printed = quantized(run, tmp_path / "again")
    for expected in ("bytes of the weights", f"{facts['bytes']:,}", "perplexity of the validation", facts["at"]):
        assert expected in printed


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_run_as_halves_is_a_folder_for_other_programs(dtype, run, tmp_path):
    facts = json.loads(quantized(run, tmp_path / dtype, "--dtype", dtype, "--json"))
    assert facts["bytes"] * 2 == facts["float32_bytes"]
    assert facts[f"{dtype}_perplexity"] == pytest.approx(facts["float32_perplexity"], rel=0.01)
    model, tokenizer = open_model(tmp_path / dtype)
    assert tokenizer.encode("Line 7") == open_run(run).tokenizer.encode("Line 7")
    name, original = facts["at"], dict(open_run(run).load_model()[0].named_parameters())
    error = np.abs(dict(model.named_parameters())[name].data - original[name].data).max()
    assert facts["largest_rounding_error"] == pytest.approx(error)


def test_a_folder_of_a_sentence_encoder(tmp_path):
    facts = json.loads(quantized(FOLDERS / "bert", tmp_path / "bert", "--json"))
    assert not [name for name in facts if "perplexity" in name]  # there is no text to measure it on
    before, after = load_pretrained(FOLDERS / "bert"), load_pretrained(tmp_path / "bert")
    assert is_quantized(after.model)
    assert after.pooling == before.pooling
    code, out, err = call("embed", "Sort the list.", "--from", tmp_path / "bert")
    assert code == 0, err
    _, exact, _ = call("embed", "Sort the list.", "--from", FOLDERS / "bert")
    vectors = [np.array(json.loads(each)["vector"]) for each in (out, exact)]
    assert 0.99 < np.dot(*vectors) / np.prod([np.linalg.norm(vector) for vector in vectors]) < 1 - 1e-9
    code, out, err = call("fill-mask", "a [MASK] c", "--from", tmp_path / "bert", "--json")
    assert code == 0, err


def test_a_fine_tuned_model_and_several_tasks_on_one_base(fine_tuned, tmp_path):
    quantized(fine_tuned, tmp_path / "int8")
    examples = [TextExample("a good list"), TextExample("it is bad")]
    exact, rounded = (load_fine_tuned(folder).predict(examples) for folder in (fine_tuned, tmp_path / "int8"))
    np.testing.assert_allclose(rounded, exact, atol=0.02)
    assert not np.array_equal(rounded, exact)
    code, out, err = call("classify", "a good list", "--from", tmp_path / "int8", "--json")
    assert code == 0, err
    assert json.loads(out)["probability"] == pytest.approx(rounded[0].max(), abs=1e-3)
    for name in ("mood", "topic"):
        (tmp_path / "tasks" / name).mkdir(parents=True)
        for file in ("head.safetensors", "task.json"):
            shutil.copyfile(fine_tuned / file, tmp_path / "tasks" / name / file)
    shutil.copytree(fine_tuned / "base", tmp_path / "tasks" / "base")
    quantized(tmp_path / "tasks", tmp_path / "small")
    np.testing.assert_array_equal(load_fine_tuned(tmp_path / "small" / "mood").predict(examples), rounded)
    assert (tmp_path / "small" / "topic" / "task.json").exists()


def test_commands_open_a_quantised_run(run, tmp_path):
    code, _, err = call("quantize", "--from", run, "--out", tmp_path / "int8")
    assert code == 0, err
    code, out, err = call("evaluate", "--run", tmp_path / "int8", "--json")
    assert code == 0, err
    exact = json.loads(call("evaluate", "--run", run, "--json")[1])["perplexity"]
    assert json.loads(out)["perplexity"] == pytest.approx(exact, rel=0.01)
    model, _ = open_run(tmp_path / "int8").load_model()
    assert is_quantized(model)
    code, out, err = call("generate", "--run", tmp_path / "int8", "--max-new-tokens", "5", "--temperature", "0")
    assert code == 0, err
    code, out, err = call("info", tmp_path / "int8")
    assert code == 0, err
    assert "int8_weight" in out
    code, _, err = call("pretrain", "--resume", tmp_path / "int8")
    assert code == 2
    assert "last.safetensors" in err


def test_a_quantised_model_in_float64(tmp_path):
    """For checking gradients: scales and norms are converted, bytes stay."""
    model = load_pretrained(FOLDERS / "bert").model
    exact = model.to("float32")(np.array([[5, 6, 7]])).data
    quantize_model(model).to("float64")
    close = model(np.array([[5, 6, 7]])).data
    assert close.dtype == np.float64
    assert 0 < np.abs(close - exact).max() < 0.1


def test_mistakes(run, tmp_path):
    quantized(FOLDERS / "llama", tmp_path / "llama")
    with pytest.raises(ValueError, match=r"llama' is quantised already: give the model that it was made from"):
        quantized(tmp_path / "llama", tmp_path / "other")
    with pytest.raises(ValueError, match=r"llama' exists and is not empty: choose another folder with --out"):
        quantized(run, tmp_path / "llama")
    with pytest.raises(FileNotFoundError, match="give the folder of a run, or of a model"):
        quantized(tmp_path / "nothing", tmp_path / "other")
    code, _, err = call("quantize", "--from", run, "--out", tmp_path / "other", "--dtype", "int4")
    assert code == 2
    assert "argument --dtype: invalid choice: 'int4'" in err
    assert not (tmp_path / "other").exists()
