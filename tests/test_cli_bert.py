"""The command line with `--model bert`: one tiny run, what is in its folder, and all that can be done with it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cli_runs import TINY, assert_resume_equals_uninterrupted, call, pretrain, read_log, write_text
from matplotlib.image import imread

from tinygrad_llm.cli.objectives import Blanks, marked_text
from tinygrad_llm.data import open_tokens, read_token_header
from tinygrad_llm.data.masking import IGNORED, masked_windows
from tinygrad_llm.hub import load_pretrained, save_pretrained
from tinygrad_llm.models import BERT
from tinygrad_llm.text import WordPieceTokenizer
from tinygrad_llm.train import load_checkpoint, open_run

BERT_RUN = ("--model", "bert", "--vocab-size", "100")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, text):
    """The folder of a finished run and what was printed."""
    folder = tmp_path_factory.mktemp("runs") / "my bert"
    return folder, pretrain(folder, text, *BERT_RUN, "--sample-every", "4")


@pytest.fixture(scope="module")
def run(finished):
    return finished[0]


def test_the_run_is_a_bert(run):
    settings = json.loads((run / "config.json").read_text())["config"]
    assert (settings["model"], settings["tokenizer"], settings["mask_share"]) == ("bert", "wordpiece", 0.15)
    opened = open_run(run)
    model, checkpoint = opened.load_model("last")
    assert type(model) is BERT
    assert isinstance(opened.tokenizer, WordPieceTokenizer)
    assert (model.config.n_heads, model.config.d_ff, model.config.vocab_size) == (2, 64, 100)
    assert (model.pooler, checkpoint.architecture, checkpoint.step) == (None, "BERT", 6)


def test_token_files_have_no_frames(tmp_path, run):
    """Only the end of a document is marked."""
    path = tmp_path / "documents.jsonl"
    texts = [f"The number {i} is followed by {i + 1}." for i in range(40)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    pretrain(tmp_path / "run", path, *BERT_RUN, "--steps", "1")
    for folder in (run, tmp_path / "run"):
        tokenizer = open_run(folder).tokenizer
        for name in ("train.tokens", "val.tokens"):
            tokens, header = open_tokens(folder / name), read_token_header(folder / name)
            assert (tokens != tokenizer.cls_id).all()
            assert (tokens == tokenizer.sep_id).sum() == header.n_documents
            assert tokens[-1] == tokenizer.sep_id
    assert header.n_documents > 1
    kept = tokenizer.decode(open_tokens(folder / "val.tokens")).split(" [SEP]")
    assert all(each.strip() in {text.lower() for text in texts} for each in kept[:-1])


def by_hand(run):
    """Loss and accuracy of the best weights, and of frequencies, at the blanks of the whole validation text."""
    opened = open_run(run)
    model = opened.load_model()[0].eval()
    masking = Blanks(opened).masking
    counts = np.bincount(open_tokens(run / "train.tokens"), minlength=100) + 1.0
    counts[list(masking.special_ids)] = 0
    losses, unigram, right, usual = [], [], [], []
    for seen, targets in masked_windows(open_tokens(run / "val.tokens"), 2, 16, masking):
        logits = model.masked_lm_logits(model(seen)).data.astype(np.float64)
        for place in np.argwhere(targets != IGNORED):
            token, scores = targets[tuple(place)], logits[tuple(place)]
            losses.append(np.log(np.exp(scores).sum()) - scores[token])
            unigram.append(np.log(counts.sum() / counts[token]))
            right.append(scores.argmax() == token)
            usual.append(counts.argmax() == token)
    return [float(np.mean(each)) for each in (losses, right, unigram, usual)], len(losses)


def test_the_summary_is_true(finished):
    run, out = finished
    summary = json.loads((run / "summary.json").read_text())
    names = ("validation_loss", "validation_accuracy", "unigram_loss", "unigram_accuracy")
    expected, n_blanks = by_hand(run)
    assert [summary[name] for name in names] == pytest.approx(expected, rel=1e-5)
    assert not any("byte" in name for name in summary)
    assert summary["tokens"] == 6 * 2 * 16
    code, out_json, err = call("evaluate", "--run", run, "--json")
    assert code == 0, err
    result = json.loads(out_json)
    assert [result[name.removeprefix("validation_")] for name in names] == pytest.approx(expected, rel=1e-5)
    assert (result["n_blanks"], result["step"]) == (n_blanks, summary["best_step"])
    for expected in (f"{summary['validation_loss']:.3f}", f"{summary['unigram_loss']:.3f}", "nats/blank"):
        assert expected in out
    assert "byte" not in out


def test_the_log_and_the_picture(run):
    lines = [line for line in read_log(run) if "validation_loss" in line]
    assert [line["step"] for line in lines] == [3, 6]
    assert all({"validation_accuracy", "unigram_loss"} <= line.keys() for line in lines)
    assert lines[0]["unigram_loss"] == lines[1]["unigram_loss"], "the blanks are the same each time"
    assert lines[1]["validation_loss"] < lines[0]["validation_loss"]
    assert not any("byte" in name for line in lines for name in line)
    assert imread(run / "loss.png").std() > 0.05


def test_the_loss_curve_is_in_nats_per_blank(tmp_path, text, monkeypatch):
    drawn = []

    def draw(path, *each, **named):
        path.touch()
        drawn.append(((path, *each), named))

    monkeypatch.setattr("tinygrad_llm.cli.summary.loss_curve", draw)
    pretrain(tmp_path / "run", text, *BERT_RUN, "--steps", "2")
    ((_, train, validation, levels),), (named,) = zip(*drawn, strict=True)
    log, summary = read_log(tmp_path / "run"), json.loads((tmp_path / "run" / "summary.json").read_text())
    assert train == [(line["step"], line["loss"]) for line in log]
    assert validation == [(2, log[-1]["validation_loss"])]
    assert levels == {"unigram": summary["unigram_loss"]}
    assert named["unit"] == "nats per blank"


def test_evaluate_on_other_text(run, tmp_path):
    path = write_text(tmp_path / "other.txt", 40)
    code, out, err = call("evaluate", "--run", run, "--corpus", path)
    assert code == 0, err
    assert "part of the blanks guessed" in out
    (tmp_path / "short.txt").write_text("Line 1")
    code, _, err = call("evaluate", "--run", run, "--corpus", tmp_path / "short.txt")
    assert (code, "but one window takes 16" in err) == (2, True)


def test_info(run):
    code, out, err = call("info", run)
    assert code == 0, err
    for expected in ("BERT at step 6", "whole_words", "masked_lm_head.dense.weight", "validation_accuracy"):
        assert expected in out


def test_samples_are_validation_text_with_guesses(finished):
    run, out = finished
    sample = (run / "sample.txt").read_text()
    assert "sample at step 4" in out
    assert sample.startswith("[guess], or [guess|hidden token] where they differ:")
    again = Blanks(open_run(run)).sample(open_run(run).load_model()[0], (0, 6))
    assert again + "\n" == sample
    vocabulary = open_run(run).tokenizer.tokens
    marks = [part.split("]")[0] for part in again.split("\n\n")[1].split("[")[1:]]
    assert marks
    assert all(token in vocabulary for mark in marks for token in mark.split("|"))


def test_marks_stand_where_the_blanks_were():
    tokenizer = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "##s"])
    ids, guesses = np.array([5, 6, 8, 7]), np.array([0, 6, 5, 7])
    assert marked_text(tokenizer, ids, guesses, np.array([0, 1, 0, 0], bool)) == "the [cat] ##s sat"
    assert marked_text(tokenizer, ids, guesses, np.array([1, 0, 1, 1], bool)) == "[[PAD]|the] cat [the|##s] [sat]"
    assert marked_text(tokenizer, ids, guesses, np.zeros(4, bool)) == "the cats sat"


RESUMED = [
    ["--dropout", "0.1", "--whole-words"],
    ["--optimizer", "adamw", "--accumulate", "2"],
    ["--checkpoint-activations", "--dropout", "0.1", "--mask-share", "0.3"],
]


@pytest.mark.parametrize("options", RESUMED)
def test_resume_equals_uninterrupted(tmp_path, text, options):
    """At one learning rate, since the schedule would be that of three steps."""
    options = [*BERT_RUN, *options, "--warmup-ratio", "0", "--min-learning-rate", "1e-3"]
    assert_resume_equals_uninterrupted(tmp_path, text, *options)


def test_checkpointed_activations_change_nothing(tmp_path, text):
    options = [*BERT_RUN, "--dropout", "0.1", "--steps", "3"]
    pretrain(tmp_path / "kept", text, *options)
    pretrain(tmp_path / "again", text, *options, "--checkpoint-activations")
    kept, again = (load_checkpoint(tmp_path / name / "last.safetensors") for name in ("kept", "again"))
    for name, array in kept.weights.items():
        np.testing.assert_array_equal(again.weights[name], array, err_msg=name)


def test_a_run_becomes_a_hugging_face_folder(run, tmp_path):
    opened = open_run(run)
    model = opened.load_model()[0].eval()
    save_pretrained(model, tmp_path / "bert", opened.tokenizer)
    loaded = load_pretrained(tmp_path / "bert")
    ids = np.array([opened.tokenizer.encode("Line 7 says [MASK]")])
    np.testing.assert_array_equal(
        loaded.model.masked_lm_logits(loaded.model(ids)).data, model.masked_lm_logits(model(ids)).data
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tokenizer", "bpe"], "tokenizer must be wordpiece, the one with a [MASK], for bert, not 'bpe'"),
        (["--tokenizer", "char"], "tokenizer must be wordpiece, the one with a [MASK], for bert, not 'char'"),
        (["--bias"], "bias is a setting of gpt, not of bert: leave it out, or choose --model gpt"),
        (["--mask-share", "1"], "mask_share must be between 0 and 1, not 1.0"),
        (["--vocab-size", "20"], "vocab_size must be at least"),
        (["--max-seq-len", "9999"], "give more text or a shorter context"),
        (["--model", "gpt", "--whole-words"], "whole_words is a setting of bert, not of gpt: leave it out, or"),
        (["--model", "gpt", "--mask-share", "0.2"], "mask_share is a setting of bert, not of gpt: leave it out, or"),
        (["--model", "llama", "--tokenizer", "wordpiece"], "tokenizer must be bpe or char for llama, not 'wordpiece'"),
    ],
)
def test_bad_options(tmp_path, text, options, sentence):
    code, _, err = call("pretrain", *TINY, *BERT_RUN, *options, "--corpus", text, "--out", tmp_path / "run")
    assert (code, sentence in err) == (2, True), err
    assert len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
