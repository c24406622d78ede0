"""Bad input on the command line: one clear sentence on stderr, exit code 2, nothing half-written."""

import errno
import os
import shutil

import numpy as np
import pytest
from cli_runs import TINY, call, file_size_limit, pretrain, read_log
from safetensors.numpy import save_file

from tinygrad_llm.train import load_checkpoint


def refused(*argv) -> str:
    """The one sentence with which a command refuses its input."""
    code, out, err = call(*argv)
    assert code == 2, (code, out, err)
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1, err
    return err


def pretraining_refused(tmp_path, *options) -> str:
    """The same for a new run, which must leave nothing behind."""
    sentence = refused("pretrain", *TINY, *options, "--out", tmp_path / "runs" / "new")
    folder = tmp_path / "runs"
    assert not folder.exists() or os.listdir(folder) == []
    return sentence


BAD_TEXTS = {
    "empty": (b"", "is empty: a corpus needs at least some text"),
    "blank": (b" \n\n ", "is empty: a corpus needs at least some text"),
    "binary": (bytes(range(256)) * 20, "is a binary file, not text"),
    "latin-1": ("Fähre über den Fluß. ".encode("latin-1") * 50, "is not utf-8 text: the byte at offset 1 does not fit"),
    "utf-16": (b"\xff\xfe" + "some text".encode("utf-16-le") * 50, "give --encoding utf-16"),
    "too short to split": (b"a", "is too short to keep 10% of it for validation"),
    "shorter than the context": (b"a few words only", "one window takes 17"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_bad_texts(tmp_path, name):
    content, sentence = BAD_TEXTS[name]
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    assert sentence in pretraining_refused(tmp_path, "--corpus", path)


def test_the_encoding_that_is_offered_works(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("Fähre über den Fluß. ".encode("latin-1") * 50)
    assert "--encoding" in pretraining_refused(tmp_path, "--corpus", path)
    pretrain(tmp_path / "run", path, "--encoding", "latin-1", "--steps", "2")
    assert "ß" in (tmp_path / "run" / "tokenizer.json").read_text(encoding="utf-8")


def test_a_missing_file_and_a_missing_corpus(tmp_path):
    assert "there is no file or folder" in pretraining_refused(tmp_path, "--corpus", tmp_path / "nothing.txt")
    sentence = refused("pretrain", "--preset", "shakespeare-cpu", "--out", tmp_path / "run")
    assert "give one with --corpus FILE" in sentence


def test_a_text_of_few_characters_for_the_context_says_so(tmp_path, text):
    sentence = pretraining_refused(tmp_path, "--corpus", text, "--max-seq-len", "9999")
    assert "give more text or a shorter context" in sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--preset", "latop"], "there is no preset 'latop' (did you mean 'laptop'?)"),
        (["--d-modle", "8"], "there is no option --d-modle (did you mean '--d-model'?)"),
        (["--d", "8"], "there is no option --d (did you mean '--debug'?)"),
        (["--steps", "many"], "argument --steps: must be an integer, not 'many'"),
        (["--steps", "1.5"], "argument --steps: must be an integer, not '1.5'"),
        (["--learning-rate", "fast"], "argument --learning-rate: must be a number, not 'fast'"),
        (["--steps"], "argument --steps: expected one argument"),
        (["--n-heads", "3"], "n_heads must be a divisor of d_model = 16, not 3"),
        (["--dropout", "1.5"], "dropout must be at least 0 and below 1, not 1.5"),
        (["--dropout", "nan"], "dropout must be at least 0 and below 1, not nan"),
        (["--batch-size", "0"], "batch_size must be at least 1, not 0"),
        (["--tokenizer", "words"], "tokenizer must be one of bpe, char, wordpiece, not 'words'"),
        (["--tokenizer", "bpe", "--vocab-size", "100"], "vocab_size must be at least 257"),
        (["--model", "lama"], "model must be one of gpt, llama, bert, seq2seq, not 'lama' (did you mean 'llama'?)"),
        (["--model", "llama", "--dropout", "0.1"], "dropout is a setting of gpt, bert and seq2seq, not of llama"),
        (["--model", "llama", "--bias"], "bias is a setting of gpt, not of llama: leave it out, or"),
        (["--n-kv-heads", "1"], "n_kv_heads is a setting of llama, not of gpt: leave it out, or choose"),
        (["--model", "llama", "--n-kv-heads", "3"], "n_kv_heads must be 0 or a divisor of n_heads = 2, not 3"),
        (["--model", "llama", "--n-heads", "16"], "n_heads must be such that d_model / n_heads is even"),
        (["--encoding", "klingon"], "unknown text encoding 'klingon'"),
    ],
)
def test_bad_options(tmp_path, text, options, sentence):
    assert sentence in pretraining_refused(tmp_path, "--corpus", text, *options)


def test_bad_commands():
    assert "there is no command 'pretrian' (did you mean 'pretrain'?)" in refused("pretrian")
    assert "there is no option --prompts (did you mean '--prompt'?)" in refused(
        "generate", "--run", "x", "--prompts", "y"
    )
    assert "unexpected argument 'extra'" in refused("info", "a", "extra")
    assert "one of the arguments --run --from is required" in refused("generate")


def test_a_prompt_with_unknown_characters(finished):
    sentence = refused("generate", "--run", finished, "--prompt", "sï 文")
    assert "the character tokenizer lacks 'ï', '文'" in sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--temperature", "-1"], "temperature must be 0 (greedy) or more, not -1"),
        (["--temperature", "nan"], "temperature must be 0 (greedy) or more, not nan"),
        (["--top-k", "0"], "top_k must be at least 1"),
        (["--top-p", "1.5"], "top_p must be above 0 and at most 1"),
        (["--max-new-tokens", "-5"], "max_new_tokens must be at least 0"),
        (["--n-samples", "0"], "--n-samples must be at least 1"),
        (["--stop", ""], "--stop must not be empty"),
        (["--seed", "-1"], "--seed must be at least 0"),
        (["--min-p", "2"], "min_p must be from 0 to 1, not 2"),
        (["--repetition-penalty", "0"], "repetition_penalty must be above 0"),
        (["--beams", "0"], "--beams must be at least 1, not 0"),
        (["--beams", "999"], "num_beams must be from 1 to the vocabulary's"),
        (["--beams", "2", "--top-k", "3"], "--beams and --top-k exclude each other"),
        (["--beams", "2", "--n-samples", "3"], "--n-samples must be at most --beams 2, not 3"),
        (["--checkpoint", "first"], "invalid choice: 'first'"),
    ],
)
def test_bad_settings_for_generation(finished, options, sentence):
    assert sentence in refused("generate", "--run", finished, *options)


def test_a_folder_without_a_run(tmp_path):
    for command in (["generate", "--run"], ["evaluate", "--run"], ["pretrain", "--resume"], ["info"]):
        assert "holds no run, there is no config.json in it" in refused(*command, tmp_path / "nothing")


def damage(path, how):
    data = path.read_bytes()
    match how:
        case "truncated":
            path.write_bytes(data[: len(data) // 2])
        case "empty":
            path.write_bytes(b"")
        case "corrupted":
            path.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
        case "foreign":
            save_file({"weight": np.zeros((2, 2), np.float32)}, path)
        case "missing":
            path.unlink()


CHECKPOINT_SENTENCES = {
    "truncated": "is no complete safetensors file, it is truncated",
    "empty": "is no complete safetensors file, it is truncated",
    "corrupted": "is damaged, its content does not match its checksum",
    "foreign": "is a safetensors file, but no checkpoint of tinygrad_llm",
    "missing": "there is no checkpoint",
}


@pytest.mark.parametrize("how", CHECKPOINT_SENTENCES)
def test_a_damaged_checkpoint(run, how):
    damage(run / "last.safetensors", how)
    before = sorted(os.listdir(run))
    assert CHECKPOINT_SENTENCES[how] in refused("pretrain", "--resume", run, "--steps", "9")
    assert CHECKPOINT_SENTENCES[how] in refused("generate", "--run", run, "--checkpoint", "last")
    assert sorted(os.listdir(run)) == before
    assert call("generate", "--run", run, "--max-new-tokens", "3")[0] == 0, "the best checkpoint still works"


def test_a_checkpoint_of_another_architecture(run, tmp_path, text):
    pretrain(tmp_path / "other", text, "--d-model", "32", "--steps", "2")
    for name in ("last", "best"):
        shutil.copy(tmp_path / "other" / f"{name}.safetensors", run)
    for command in (["pretrain", "--steps", "9", "--resume"], ["generate", "--run"], ["evaluate", "--run"], ["info"]):
        sentence = refused(*command, run)
        assert "another architecture: it has d_model 32 where the model has 16" in sentence


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "train.tokens", "corpus.json", "val.tokens"])
def test_other_damaged_files_of_a_run(run, name):
    damage(run / name, "truncated")
    assert name in refused("pretrain", "--resume", run, "--steps", "9")


def test_settings_that_a_resumed_run_keeps(run):
    sentence = refused("pretrain", "--resume", run, "--steps", "9", "--d-model", "32")
    assert "--d-model cannot be given with --resume" in sentence
    assert "has done 6 steps already" in refused("pretrain", "--resume", run, "--steps", "3")
    assert call("pretrain", "--resume", run)[0] == 0


def test_nan_in_the_loss_names_the_step_and_keeps_the_last_good_checkpoint(tmp_path, text, monkeypatch):
    from tinygrad_llm.cli import train
    from tinygrad_llm.train import language_modelling

    calls = []

    def spoiled(model, batch):
        calls.append(batch)
        return language_modelling(model, batch) * (float("nan") if len(calls) == 5 else 1.0)

    monkeypatch.setattr(train, "language_modelling", spoiled)
    folder = tmp_path / "run"
    sentence = refused("pretrain", *TINY, "--corpus", text, "--out", folder)
    assert "the loss became nan in step 5" in sentence
    assert f"the checkpoint of step 3 is kept in {folder / 'last.safetensors'}" in sentence
    checkpoint = load_checkpoint(folder / "last.safetensors")
    assert checkpoint.step == 3
    assert all(np.isfinite(array).all() for array in checkpoint.weights.values())
    monkeypatch.undo()
    assert call("pretrain", "--resume", folder)[0] == 0
    assert read_log(folder)[-1]["step"] == 6


def test_a_learning_rate_that_explodes_is_reported_not_crashed(tmp_path, text):
    options = ["--learning-rate", "1e30", "--warmup-ratio", "0", "--clip", "0", "--steps", "20"]
    sentence = refused("pretrain", *TINY, "--corpus", text, "--out", tmp_path / "run", *options)
    assert "lower the learning rate" in sentence
    sentence = refused("pretrain", *TINY, "--corpus", text, "--out", tmp_path / "anomaly", *options, "--detect-anomaly")
    assert "made the first" in sentence


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "permission denied"),
        (errno.ENOSPC, "disk is full"),
    ],
)
def test_a_folder_that_cannot_be_made(tmp_path, text, monkeypatch, number, sentence):
    def fail(path, *arguments, **settings):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("pathlib.Path.mkdir", fail)
    assert sentence in pretraining_refused(tmp_path, "--corpus", text)


def test_a_path_through_a_file(tmp_path, text):
    sentence = refused("pretrain", *TINY, "--corpus", text, "--out", text / "run")
    assert "is in the way" in sentence


def test_a_disk_that_is_full_from_the_start_leaves_nothing(tmp_path, text):
    with file_size_limit(2000):
        assert "runs/new': " in pretraining_refused(tmp_path, "--corpus", text)


def test_a_disk_that_fills_up_keeps_the_last_good_checkpoint(run):
    before = {name: (run / name).read_bytes() for name in ("last.safetensors", "best.safetensors")}
    with file_size_limit(20_000):
        sentence = refused("pretrain", "--resume", run, "--steps", "9")
    assert "cannot write the checkpoint" in sentence
    assert {name: (run / name).read_bytes() for name in before} == before
    assert not [name for name in os.listdir(run) if name.endswith(".tmp")]
    assert call("pretrain", "--resume", run, "--steps", "9")[0] == 0


def test_a_mistake_in_the_program_still_shows_a_traceback(tmp_path, text, monkeypatch):
    for mistake in (AttributeError("bug"), TypeError("bug"), KeyError("bug"), ValueError("bug"), IndexError("bug")):

        def broken(*arguments, mistake=mistake):
            raise mistake

        monkeypatch.setattr("tinygrad_llm.cli.objectives.NextToken.read", staticmethod(broken))
        with pytest.raises(type(mistake)):
            call("pretrain", *TINY, "--corpus", text, "--out", tmp_path / "run")


def test_debug_shows_where_an_error_arose(tmp_path):
    code, _, err = call("info", tmp_path, "--debug")
    assert code == 2
    assert "Traceback" in err
    assert "open_run" in err
