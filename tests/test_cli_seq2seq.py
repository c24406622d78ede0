"""The command line with `--model seq2seq`: pairs in, a run that can be resumed and measured, and `translate`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cli_runs import TINY, assert_resume_equals_uninterrupted, call, read_log
from matplotlib.image import imread

from tinygrad_llm.applications import alignment, translate
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.cli.objectives import OBJECTIVES
from tinygrad_llm.data.translation import part_of
from tinygrad_llm.evaluate.pairs import evaluate_pairs
from tinygrad_llm.models import Seq2Seq
from tinygrad_llm.text import BPETokenizer, CharTokenizer
from tinygrad_llm.train import open_run, preset
from tinygrad_llm.train.pairs import read_pair_corpus, read_pair_file, write_pair_files

WORDS = ("red", "blue", "green", "small", "large", "old", "new", "round", "square", "soft", "hard", "dark", "cold")


def write_pairs(path, n: int = 120):
    """Two words, and the same in the other order."""
    choices = np.random.default_rng(0).permutation(len(WORDS) ** 2)[:n]
    lines = (
        f"{WORDS[i]} {WORDS[j]}\t{WORDS[j]}, {WORDS[i]}\n" for i, j in zip(*divmod(choices, len(WORDS)), strict=True)
    )
    path.write_text("".join(lines), encoding="utf-8")
    return path


SEQ2SEQ = [*TINY, "--model", "seq2seq", "--max-seq-len", "24"]


def pretrain(folder, *options) -> str:
    code, out, err = call("pretrain", *SEQ2SEQ, "--out", folder, *options)
    assert code == 0, err
    return out


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs") / "phrases.tsv")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("runs") / "my run"
    return folder, pretrain(folder, "--pairs", pairs, "--sample-every", "4")


@pytest.fixture(scope="module")
def run(finished):
    return finished[0]


def test_the_run_is_an_encoder_decoder(run):
    opened = open_run(run)
    model, checkpoint = opened.load_model("last")
    assert type(model) is Seq2Seq
    assert isinstance(opened.tokenizer, CharTokenizer)
    c = model.config
    assert (c.max_source_len, c.max_target_len, c.d_ff, c.label_smoothing) == (24, 24, 64, 0.1)
    assert (checkpoint.architecture, checkpoint.step) == ("Seq2Seq", 6)


def test_the_parts_hold_every_pair_once(run, pairs):
    parts = [read_pair_file(run, part) for part in ("train", "validation", "test")]
    texts = [pair.source + "\t" + pair.target for part in parts for pair in part]
    assert sorted(texts) == sorted(pairs.read_text().splitlines())
    assert [len(part) for part in parts] == pytest.approx([96, 12, 12], abs=3)
    assert read_pair_file(run, "beyond") == []


def test_what_is_measured_is_what_translations_are(run):
    opened = open_run(run)
    model, test = opened.load_model()[0].eval(), read_pair_file(run, "test")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["test_n_pairs"] == len(test)
    losses, n = [], 0
    for pair in test:
        source, target = (opened.tokenizer.encode(text) for text in (pair.source, pair.target))
        frame = opened.tokenizer.encode("\n")[0]
        log_probs = model([[*source, frame]], [[frame, *target]]).log_softmax(dim=-1).data[0]
        losses.append(-log_probs[np.arange(len(target) + 1), [*target, frame]].sum())
        n += len(target) + 1
    assert summary["test_loss"] == pytest.approx(sum(losses) / n, rel=1e-4)


def test_a_target_counts_only_if_it_is_written_whole(run, monkeypatch):
    opened, test = open_run(run), read_pair_file(run, "test")[:4]
    written = [test[0].target, test[1].target + "s", test[2].target[:-1], test[3].target]
    made = [type("Found", (), {"text": text}) for text in written]
    monkeypatch.setattr("tinygrad_llm.evaluate.pairs.translate", lambda *_: made)
    found = evaluate_pairs(opened.load_model()[0].eval(), opened.tokenizer, test)
    assert (found.exact_match, found.n_pairs) == (0.5, 4)
    assert 50 < found.chrf < 100


def test_log_display_sample_and_curve(finished):
    folder, out = finished
    log = read_log(folder)
    assert [line["step"] for line in log] == [2, 3, 4, 6]
    assert [line["step"] for line in log if "validation_exact_match" in line] == [3, 6]
    assert {"validation_loss", "validation_chrf"} <= log[1].keys()
    assert "written exactly, chrF" in out
    assert "unseen targets written exactly" in out
    assert out.count("tinygrad-llm translate --from") == 1
    assert (folder / "sample.txt").read_text().count("→") == 8
    assert imread(folder / "loss.png").ndim == 3


def test_resume_equals_uninterrupted(tmp_path, pairs):
    """At one learning rate, since the schedule would be that of three steps."""
    options = ["--model", "seq2seq", "--max-seq-len", "24", "--dropout", "0.1", "--pairs", pairs]
    options += ["--warmup-ratio", "0", "--min-learning-rate", "2e-3"]
    assert_resume_equals_uninterrupted(tmp_path, None, *options)


def test_translate_shows_a_line_for_each_text(run):
    code, out, err = call("translate", "red blue", "cold", "--from", run, "--json")
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["text"] for line in lines] == ["red blue", "cold"]
    opened = open_run(run)
    expected = translate(opened.load_model()[0], opened.tokenizer, ["red blue", "cold"])
    assert [line["translation"] for line in lines] == [each.text for each in expected]


def test_translate_a_file_with_beams(tmp_path, run):
    source, out = tmp_path / "texts.txt", tmp_path / "out.jsonl"
    source.write_text("red blue\n\nold soft\n")
    options = ("--beams", "3", "--length-penalty", "0.5", "--max-new-tokens", "7")
    code, _, err = call("translate", "--file", source, "--out", out, "--from", run, *options)
    assert code == 0, err
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(line["text"], line["source"]) for line in lines] == [
        ("red blue", f"{source}:1"),
        ("old soft", f"{source}:3"),
    ]
    opened = open_run(run)
    settings = {"num_beams": 3, "length_penalty": 0.5, "max_new_tokens": 7}
    expected = translate(opened.load_model()[0], opened.tokenizer, ["red blue", "old soft"], **settings)
    assert [line["translation"] for line in lines] == [each.text for each in expected]


def test_evaluate_measures_the_test_part_or_other_pairs(run, pairs):
    code, out, err = call("evaluate", "--run", run, "--json")
    assert code == 0, err
    result, summary = json.loads(out), json.loads((run / "summary.json").read_text())
    assert result["loss"] == pytest.approx(summary["test_loss"], rel=1e-6)
    assert "beyond_exact_match" not in result
    code, out, err = call("evaluate", "--run", run, "--corpus", pairs)
    assert code == 0, err
    assert "targets written exactly" in out
    assert "120" in out


def test_numbers_have_a_part_beyond_the_range(tmp_path, monkeypatch):
    monkeypatch.setattr("tinygrad_llm.train.pairs.N_HELD_OUT", 5)
    pretrain(tmp_path / "run", "--pairs", "numbers", "--n-pairs", "40", "--steps", "1", "--max-seq-len", "90")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert {"beyond_exact_match", "beyond_chrf", "test_exact_match"} <= summary.keys()
    corpus = read_pair_corpus(preset("translate-numbers").override(n_pairs=200))
    values = {
        part: [int(pair.origin.partition(":")[2]) for pair in corpus.of(part)] for part in ("train", "test", "beyond")
    }
    assert max(values["train"] + values["test"]) < 10**6 <= min(values["beyond"])
    assert {part_of(value) for value in values["train"]} == {"train"}
    assert {part_of(value) for value in values["test"]} == {"test"}


def test_long_pairs_are_left_out_and_said(tmp_path, pairs):
    out = pretrain(tmp_path / "run", "--pairs", pairs, "--max-seq-len", "11", "--steps", "1")
    kept = read_pair_file(tmp_path / "run", "train")
    assert 0 < len(kept) < 96
    assert max(len(pair.target) for pair in kept) <= 10
    assert "pairs left out, which are longer than 11 tokens" in out


def test_bpe_keeps_the_lines_of_a_source_and_characters_do_not(tmp_path):
    path = tmp_path / "code.jsonl"
    rows = ({"code": f"def f{i}():\n    return {i * i}", "what": f"squares {i}\nor so"} for i in range(60))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--pairs", path, "--source-column", "code", "--target-column", "what", "--steps", "1")
    pretrain(tmp_path / "bpe", *options, "--tokenizer", "bpe", "--vocab-size", "300", "--max-seq-len", "64")
    pretrain(tmp_path / "char", *options, "--max-seq-len", "64")
    assert isinstance(open_run(tmp_path / "bpe").tokenizer, BPETokenizer)
    assert all("\n" in pair.source and "\n" in pair.target for pair in read_pair_file(tmp_path / "bpe", "train"))
    assert not any("\n" in pair.source + pair.target for pair in read_pair_file(tmp_path / "char", "train"))


def test_alignment_is_where_cross_attention_looks(run):
    model = open_run(run).load_model()[0]
    source, target = np.array([3, 1, 4, 0]), np.array([0, 2, 5])
    weights = alignment(model, source, target)
    assert weights.shape == (2, 2, 3, 4)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
    block, seen = model.decoder_blocks[1], {}
    forward = block.cross_attention.forward
    block.cross_attention.forward = lambda x, memory, *rest: (
        seen.update(x=x, memory=memory) or forward(x, memory, *rest)
    )
    model.eval()(source[None], target[None])
    _, values = block.cross_attention.keys_and_values(seen["memory"])
    mixed = weights[1] @ values.data[0]  # (H, T, D)
    by_hand = block.cross_attention.out(Tensor(mixed.swapaxes(0, 1).reshape(3, 16))).data
    np.testing.assert_allclose(forward(seen["x"], seen["memory"]).data[0], by_hand, atol=1e-5)


def test_pictures_for_tensorboard(tmp_path, pairs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    pretrain(tmp_path / "run", "--pairs", pairs, "--steps", "2", "--tensorboard")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert {"attention/block 0", "attention/block 1"} <= set(events.Tags()["images"])
    assert {"validation/exact_match", "validation/chrf", "train/loss"} <= set(events.Tags()["scalars"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pairs", "number"], "pairs must be one of numbers, dates, names, summaries, or a file that ends in .tsv, "),
        (["--pairs", "number"], "(did you mean 'numbers'?)"),
        (["--pairs", "none.tsv"], "there is no file 'none.tsv'"),
        (["--pairs", "numbers", "--direction", "en-fr"], "direction must be two different ones of en, zh, digits"),
        (["--pairs", "numbers", "--tokenizer", "wordpiece"], "tokenizer must be char or bpe for seq2seq"),
        (["--n-pairs", "9", "--max-seq-len", "2"], "none of the 9 pairs of the train part fits into 2 tokens"),
        (
            ["--pairs", "numbers", "--source-column", "en"],
            "target_column must be given if and only if source_column is",
        ),
        (["--corpus", "text.txt"], "corpus is a setting of gpt, llama and bert, not of seq2seq"),
        (["--pairs", "numbers", "--label-smoothing", "1"], "label_smoothing must be at least 0 and below 1, not 1.0"),
    ],
)
def test_mistakes_in_pretrain(tmp_path, options, message):
    code, _, err = call("pretrain", *SEQ2SEQ, *options, "--out", tmp_path / "run")
    assert code == 2
    assert message in err
    assert not (tmp_path / "run").exists()


def test_pairs_are_for_encoder_decoders(tmp_path):
    code, _, err = call("pretrain", *TINY, "--pairs", "numbers", "--out", tmp_path / "run")
    assert (code, "pairs is a setting of seq2seq, not of gpt: leave it out, or choose --model seq2seq" in err) == (
        2,
        True,
    )


def test_mistakes_in_translate(tmp_path, run):
    for options, message in {
        ("a", "--length-penalty", "2"): "--length-penalty is about beam search: give --beams 2 or more too",
        ("a", "--beams", "0"): "num_beams must be at least 1, not 0",
        ("Ω",): "the character tokenizer lacks 'Ω'",
        ("a" * 24,): "has 25 tokens, the end included, but the model reads at most 24: cut it into parts",
    }.items():
        code, _, err = call("translate", *options, "--from", run)
        assert code == 2
        assert message in err
    code, _, err = call("generate", "--run", run)
    assert (code, "does not go on with a text: tinygrad-llm translate --from" in err) == (2, True)


def test_only_an_encoder_decoder_translates(tmp_path):
    corpus = tmp_path / "text.txt"
    corpus.write_text("".join(f"Line {i}.\n\n" for i in range(200)))
    code, _, err = call("pretrain", *TINY, "--steps", "1", "--corpus", corpus, "--out", tmp_path / "gpt")
    assert code == 0, err
    code, _, err = call("translate", "Line", "--from", tmp_path / "gpt")
    assert code == 2
    assert "holds a GPT, which does not translate: give the folder of an encoder-decoder" in err


def test_a_damaged_part_is_found_before_the_first_step(tmp_path, pairs):
    pretrain(tmp_path / "run", "--pairs", pairs, "--steps", "1")
    (tmp_path / "run" / "test.jsonl").write_text("{}\n")
    code, _, err = call("pretrain", "--resume", tmp_path / "run", "--steps", "2")
    assert code == 2
    assert "test.jsonl" in err
    assert open_run(tmp_path / "run").config.steps == 1


def test_the_files_are_what_was_read(tmp_path):
    config = preset("translate-numbers").override(n_pairs=20, pairs="dates", direction="zh-digits")
    corpus = read_pair_corpus(config)
    tokenizer = OBJECTIVES["seq2seq"].train_tokenizer(config, corpus)
    write_pair_files(tmp_path, corpus, tokenizer, 40)
    for part in ("train", "validation", "test", "beyond"):
        texts = [(pair.source, pair.target) for pair in read_pair_file(tmp_path, part)]
        assert texts == [(pair.source, pair.target) for pair in corpus.of(part)]
