"""generate, evaluate, tokenize, info and --help, on a real tiny run."""

import io
import json
import math
import os
import signal
import subprocess
import sys

import pexpect
import pytest
from cli_runs import TINY, call, pretrain, write_text
from rich.console import Console

from tinygrad_llm.cli.display import Display, duration
from tinygrad_llm.cli.generate import stream_text, until
from tinygrad_llm.cli.interrupt import Interrupt
from tinygrad_llm.text import END_OF_TEXT, BPETokenizer, load_tokenizer
from tinygrad_llm.train import StepInfo


@pytest.fixture(scope="module")
def run(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("runs") / "bpe"
    pretrain(folder, text, "--tokenizer", "bpe", "--vocab-size", "300")
    return folder


def generated(run, *options):
    code, out, err = call("generate", "--run", run, "--max-new-tokens", "30", *options)
    assert code == 0, err
    return out


def test_the_same_seed_generates_the_same_text(run):
    first = generated(run, "--prompt", "Line 7", "--seed", "1")
    assert first.startswith("Line 7")
    assert len(first) > len("Line 7\n")
    assert generated(run, "--prompt", "Line 7", "--seed", "1") == first
    assert generated(run, "--prompt", "Line 7", "--seed", "2") != first
    assert generated(run, "--prompt", "Line 7") != generated(run, "--prompt", "Line 7")


def test_greedy_generation_needs_no_seed(run):
    greedy = generated(run, "--temperature", "0", "--prompt", "Line")
    assert greedy == generated(run, "--temperature", "0", "--prompt", "Line")
    assert greedy == generated(run, "--top-k", "1", "--prompt", "Line")
    assert greedy == generated(run, "--top-p", "1e-9", "--prompt", "Line")
    assert greedy == generated(run, "--min-p", "1", "--prompt", "Line")
    assert greedy == generated(run, "--beams", "1", "--prompt", "Line")
    assert greedy != generated(run, "--temperature", "0", "--repetition-penalty", "3", "--prompt", "Line")


def test_beams_are_several_texts_the_best_first(run):
    best = generated(run, "--beams", "4", "--prompt", "Line")
    assert best == generated(run, "--beams", "4", "--prompt", "Line")
    three = generated(run, "--beams", "4", "--prompt", "Line", "--n-samples", "3")
    samples = [part.split("\n", 1)[1] for part in three.split("--- ")[1:]]
    assert len(set(samples)) == 3
    assert samples[0].strip() == best.strip()


def test_length_penalty_is_for_beams(run):
    assert generated(run, "--beams", "4", "--prompt", "Line", "--length-penalty", "1") == generated(
        run, "--beams", "4", "--prompt", "Line"
    )
    code, _, error = call("generate", "--run", run, "--length-penalty", "2")
    assert (code, "give --beams too" in error) == (2, True)


def test_several_samples_differ_and_stop_texts_end_them(run):
    out = generated(run, "--n-samples", "3", "--seed", "0")
    samples = [part.split("\n", 1)[1] for part in out.split("--- ")[1:]]
    assert len(samples) == len(set(samples)) == 3
    whole = generated(run, "--seed", "0", "--prompt", "x")
    middle = whole[5:8]
    assert generated(run, "--seed", "0", "--prompt", "x", "--stop", middle) == whole[: whole.index(middle, 1)] + "\n"


def test_no_character_is_cut_in_two():
    tokenizer = BPETokenizer.from_merges([], special_tokens=[END_OF_TEXT])
    ids = [*tokenizer.encode("né 文 🙂"), tokenizer.eos_id]
    pieces = list(stream_text(tokenizer, ids))
    assert "".join(pieces) == "né 文 🙂"
    assert len(pieces) > 5, "as they come"
    assert "".join(stream_text(tokenizer, ids[:2])) == "n�", "half of a character at the very end"


def test_until_holds_back_what_could_be_a_stop():
    assert list(until(["ab", "cd"], [])) == ["ab", "cd", ""]
    assert "".join(until(["a", "b", "S", "T", "OP", "z"], ["STOP"])) == "ab"
    assert "".join(until(["ab", "ST", "xSTOPS"], ["STOP", "x"])) == "abST"
    assert "".join(until(["ab", "STO"], ["STOP"])) == "abSTO"


def test_evaluate_agrees_with_the_summary(run):
    summary = json.loads((run / "summary.json").read_text())
    code, out, err = call("evaluate", "--run", run, "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["bits_per_byte"] == pytest.approx(summary["val_bits_per_byte"])
    assert result["lzma_bits_per_byte"] == summary["lzma_bits_per_byte"]
    assert result["perplexity"] == pytest.approx(math.exp(result["loss"]))
    code, out, _ = call("evaluate", "--run", run, "--checkpoint", "last")
    assert code == 0
    assert f"{result['bits_per_byte']:.3f}" in out
    assert f"{result['zlib_bits_per_byte']:.3f}" in out


def test_evaluate_on_other_text(run, tmp_path):
    path = write_text(tmp_path / "other.txt", 40)
    code, out, err = call("evaluate", "--run", run, "--corpus", path, "--json")
    assert code == 0, err
    seen = json.loads(out)
    (tmp_path / "strange.txt").write_text("ÄÖÜ xyzzy qqq! " * 100)
    _, out, _ = call("evaluate", "--run", run, "--corpus", tmp_path / "strange.txt", "--json")
    assert json.loads(out)["bits_per_byte"] > 1.5 * seen["bits_per_byte"]


def test_tokenize_shows_tokens_that_make_up_the_text(run, monkeypatch):
    code, out, err = call("tokenize", "Line 7 é", "--from", run)
    assert code == 0, err
    assert "'Line'" in out
    assert r"b'\xc3'" in out
    assert out.splitlines()[-1].endswith("tokens for 8 characters, 9 bytes")
    ids = [int(line.split()[0]) for line in out.splitlines()[:-1]]
    assert load_tokenizer(run).decode(ids) == "Line 7 é"
    monkeypatch.setattr("sys.stdin", io.StringIO("Line 7 é"))
    assert call("tokenize", "--from", run)[1] == out


@pytest.mark.parametrize("options", [["--vocab-size", "280"], ["--tokenizer", "char"]])
def test_a_tokenizer_can_be_trained_and_used(text, tmp_path, options):
    path = tmp_path / "tokenizer.json"
    code, out, err = call("tokenize", "--train", "--corpus", text, "--out", path, *options)
    assert code == 0, err
    assert "characters each" in out
    tokenizer = load_tokenizer(path)
    assert tokenizer.decode(tokenizer.encode("Line 7 says")) == "Line 7 says"
    assert call("tokenize", "Line", "--from", path)[0] == 0
    code, _, err = call("tokenize", "--train", "--corpus", text, "--out", path)
    assert (code, "exists" in err) == (2, True)


def test_a_wordpiece_tokenizer_can_be_trained_and_used(text, tmp_path):
    path, options = tmp_path / "tokenizer.json", ["--tokenizer", "wordpiece", "--vocab-size", "100"]
    code, out, err = call("tokenize", "--train", "--corpus", text, "--out", path, *options)
    assert (code, err) == (0, "")
    code, out, err = call("tokenize", "Line 7", "--from", path)
    assert (code, err) == (0, "")
    shown = [line.split()[1] for line in out.splitlines()[:-1]]
    assert (shown[0], shown[-1]) == ("'[CLS]'", "'[SEP]'")
    assert "".join(piece.strip("'").removeprefix("##") for piece in shown[1:-1]) == "line7"


def test_tokenize_asks_for_what_is_missing(tmp_path):
    assert "Give --from" in call("tokenize", "text")[2]
    assert "--train needs --out" in call("tokenize", "--train")[2]
    assert "did you mean 'char'?" in call("tokenize", "--train", "--tokenizer", "chr", "--out", tmp_path / "t")[2]


def test_info_about_the_installation(monkeypatch):
    code, out, err = call("info")
    assert code == 0, err
    for expected in ("numba", "threading layer", "compiled kernels", "matrix products", "shakespeare-cpu"):
        assert expected in out


def test_info_about_a_run(run):
    code, out, err = call("info", run)
    assert code == 0, err
    for expected in ("vocab_size", "token_embedding.weight", "(300, 16)", "val_bits_per_byte"):
        assert expected in out


@pytest.mark.parametrize("command", [[], ["pretrain"], ["generate"], ["evaluate"], ["tokenize"], ["info"]])
def test_help_shows_examples(command):
    code, out, _ = call(*command, "--help")
    assert code == 0
    assert "tinygrad-llm pretrain" in out if not command else f"tinygrad-llm {command[0]}" in out
    assert ("examples:" in out) == bool(command)


def test_help_and_mistakes_do_not_wait_for_numba_or_matplotlib():
    code = (
        "import sys, tinygrad_llm.cli\n"
        "try: tinygrad_llm.cli.main(['pretrain', '--help'])\n"
        "except SystemExit: pass\n"
        "slow = {'numba', 'matplotlib', 'rich', 'safetensors'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_the_live_display_in_a_terminal(text, tmp_path):
    options = [*TINY, "--corpus", str(text), "--out", str(tmp_path / "run"), "--sample-every", "4"]
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"TERM": "xterm-256color"}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "tinygrad_llm.cli", "pretrain", *options],
        env=environment,
        dimensions=(40, 100),
        timeout=120,
        encoding="utf-8",
    )
    child.expect("step 3: validation")
    child.expect("sample at step 4")
    child.expect(r"step 6/6 .*loss \d.* bits/byte .* tokens/s .*0:00 left")
    child.expect("validation bits per byte")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_the_shown_numbers_are_means_of_recent_steps():
    out = io.StringIO()
    with Display(Console(file=out, width=200), n_steps=10, shown=lambda loss: f"loss {loss:.2f}!") as display:
        display.update(StepInfo(1, 9.0, 0.1, 1.0, 100, 50.0))
        for step, loss in ((2, 3.0), (10, 6.0)):
            display.update(StepInfo(step, loss, 0.1, 1.0, 100, 0.5))
    first, last = out.getvalue().splitlines()
    assert first == "step 1/10  loss 9.00!  2 tokens/s  7:30 left"
    # the slow first step, which compiles, does not count for the speed
    assert last == "step 10/10  loss 6.00!  200 tokens/s  0:00 left"


def test_a_second_interrupt_stops_at_once(capsys):
    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        assert not interrupt.requested
        signal.raise_signal(signal.SIGINT)
        assert interrupt.requested
        assert interrupt.exit_code == 130
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert "stopping after this step" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0:00"), (75, "1:15"), (4000, "1:06:40")])
def test_duration(seconds, shown):
    assert duration(seconds) == shown


def test_output_that_cannot_be_shown_or_read(run):
    """An ASCII terminal, a reader that leaves early, and input that is no text."""

    def shell(command, **settings):
        python = f"{sys.executable} -m tinygrad_llm.cli"
        return subprocess.run(command.format(python), shell=True, capture_output=True, timeout=120, **settings)

    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = shell(f"{{}} generate --run {run} --prompt 'é' --max-new-tokens 2", env=environment)
    assert (done.returncode, done.stdout[:1]) == (0, b"?"), done.stderr
    done = shell(f"{{}} tokenize {'word ' * 20000!r} --from {run} | head -n 1")
    assert b"Traceback" not in done.stderr
    assert done.stdout.count(b"\n") == 1
    done = shell(f"printf '\\377' | {{}} tokenize --from {run}", env=os.environ | {"PYTHONIOENCODING": "utf-8"})
    assert (done.returncode, b"standard input is not utf-8 text" in done.stderr) == (2, True)
