"""`look`: its numbers are the model's own, its page holds them and nothing else, whatever the tokens say."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cli_runs import call, pretrain, write_text
from matplotlib.image import imread

from tinygrad_llm.applications import attention_weights, look
from tinygrad_llm.applications.look import MOST_TOKENS
from tinygrad_llm.applications.look_tokens import token_text, visible, whole_text
from tinygrad_llm.cli.look_page import PageFacts, attention_bytes, look_page, page_data
from tinygrad_llm.generate import generate
from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig, Llama, LlamaConfig, Seq2Seq
from tinygrad_llm.nn import ModuleList, quantize
from tinygrad_llm.plots.look import Columns, look_picture
from tinygrad_llm.text import BPETokenizer, CharTokenizer
from tinygrad_llm.train.fine_tuned import open_model

PRETRAINED = Path(__file__).parents[1] / "lessons" / "pretrained"
V, T = 23, 10
PROMPT = np.array([3, 1, 4, 1, 5])
HOSTILE = ["</script><script>alert(1)</script>", "<!--", "{{data}}", "&lt;", "\u2028", "\u202e", '"\\', "]]>", "é 中🦖"]
SHAPE = {"vocab_size": V, "max_seq_len": 12, "n_layers": 3, "n_heads": 4, "d_model": 16, "init_std": 0.4}


def model_of(kind: str) -> GPT | Llama | BERT:
    rng = np.random.default_rng(0)
    if kind == "gpt":
        return GPT(GPTConfig(**SHAPE, dropout=0.5), rng)
    if kind == "bert":
        return BERT(BERTConfig(**SHAPE, d_ff=32, dropout=0.5), rng)
    model = Llama(LlamaConfig(**SHAPE, n_kv_heads=2, d_ff=32, tie_weights=kind == "llama"), rng)
    if kind == "quantized llama":
        quantize(model)
    return model


def seen_by(model):
    """What it sees of T tokens, half of which it wrote, unless it is a BERT."""
    return look(model, np.arange(T), 0, top=4) if isinstance(model, BERT) else look(model, PROMPT, T - 5, top=4)


def own_probabilities(model, ids: np.ndarray) -> np.ndarray:
    """(T, V), by the softmax of the model's forward pass."""
    model.eval()
    scores = model(ids[None])
    scores = (model.masked_lm_logits(scores) if isinstance(model, BERT) else scores).data[0].astype(np.float64)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


KINDS = ("gpt", "llama", "untied llama", "quantized llama", "bert")


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_the_models_own(kind):
    model = model_of(kind)
    seen = seen_by(model)
    assert model.training, "it is left in the mode that it was in"
    p = own_probabilities(model, seen.ids)
    order = np.argsort(-p, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(seen.lens.tokens[-1], order)
    np.testing.assert_allclose(seen.lens.probabilities[-1], np.take_along_axis(p, order, axis=1), rtol=1e-4)
    np.testing.assert_allclose(seen.lens.entropy[-1], -(p * np.log(p)).sum(axis=1), rtol=1e-4)
    assert seen.shift == (kind != "bert")
    for t in range(seen.shift, T):
        came = p[t - seen.shift, seen.ids[t]]
        assert seen.probabilities[t] == pytest.approx(came, rel=1e-4)
        assert seen.ranks[t] == 1 + (p[t - seen.shift] > came).sum()
        assert [token for token, _ in seen.candidates(t)] == order[t - seen.shift].tolist()
    if seen.shift:
        assert (seen.candidates(0), np.isnan(seen.probabilities[0]), seen.ranks[0]) == ([], True, 0)
        assert seen.candidates(T)[0][0] == order[-1, 0]
    with pytest.raises(IndexError, match=f"from 0 to {T - 1 + seen.shift}"):
        seen.candidates(T + seen.shift)


@pytest.mark.parametrize("kind", ["gpt", "llama"])
def test_what_is_written_is_what_generate_writes(kind):
    model = model_of(kind)
    seen = look(model, PROMPT, 5)
    assert seen.n_prompt == 5
    assert seen.ids.tolist() == generate(model, PROMPT, 5, temperature=0.0).tolist()
    assert (seen.ranks[5:] == 1).all()
    stop = seen.ids[6:8].tolist()
    assert look(model, PROMPT, 5, stop_sequences=[stop]).ids.tolist() == seen.ids[:8].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_where_the_blocks_look(kind):
    """`attention_weights` is compared with the attention of each kind of block in test_tensorboard.py."""
    model = model_of(kind)
    seen = seen_by(model)
    assert seen.attention.shape == (3, 4, T, T)
    np.testing.assert_allclose(seen.attention.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(seen.attention, attention_weights(model, seen.ids))
    assert (np.triu(seen.attention, 1) > 0).any() == (kind == "bert")


@pytest.mark.parametrize("kind", ["gpt", "untied llama", "bert"])
def test_the_lens_is_the_models_end_after_each_block(kind):
    """A model without its last blocks says what the lens says of the one before them."""
    model = model_of(kind)
    seen = seen_by(model)
    answer, blocks = own_probabilities(model, seen.ids), model.blocks
    for n_blocks in range(4):
        model.blocks = ModuleList(list(blocks)[:n_blocks])
        p = own_probabilities(model, seen.ids)
        of_guesses = np.take_along_axis(p, seen.lens.tokens[n_blocks], axis=1)
        np.testing.assert_allclose(seen.lens.probabilities[n_blocks], of_guesses, rtol=1e-4)
        np.testing.assert_array_equal(seen.lens.tokens[n_blocks, :, 0], p.argmax(axis=1))
        divergence = (answer * np.log(answer / p)).sum(axis=1)
        np.testing.assert_allclose(seen.lens.divergence[n_blocks], divergence, rtol=1e-3, atol=1e-5)
    likeliest = seen.lens.tokens[..., 0]
    for t, row in enumerate(seen.lens.settled()):
        assert (likeliest[row:, t] == likeliest[-1, t]).all()
        assert row == 0 or likeliest[row - 1, t] != likeliest[-1, t]
    assert seen.lens.settled().max() > 0


def test_what_it_refuses():
    gpt, bert = model_of("gpt"), model_of("bert")
    for model, ids, n_new, top, message in (
        (gpt, PROMPT, 8, 8, "5 tokens and 8 new ones are more than 12, the most: shorten the text or write fewer"),
        (gpt, np.arange(13), 0, 8, "13 tokens are more than 12, the most: shorten the text$"),
        (gpt, [], 1, 8, "at least one token"),
        (gpt, [[1]], 1, 8, "in one dim"),
        (gpt, PROMPT, -1, 8, "must be at least 0, not -1"),
        (gpt, PROMPT, 1, 0, "top must be at least 1"),
        (bert, PROMPT, 1, 8, "must be 0: a BERT does not write"),
        (BERT(BERTConfig(**SHAPE, masked_lm=False)), PROMPT, 0, 8, "no masked-LM head"),
        (object.__new__(Seq2Seq), PROMPT, 0, 8, "a GPT, a Llama or a BERT, not a Seq2Seq"),
    ):
        with pytest.raises(ValueError, match=message):
            look(model, ids, n_new, top)
    with pytest.raises(IndexError):
        look(gpt, [V], 0)
    masked = look(bert, PROMPT, 0, mask_id=1)
    assert np.isnan(masked.probabilities).tolist() == (masked.ranks == 0).tolist() == (PROMPT == 1).tolist()
    assert look(gpt, PROMPT, 0, top=99).lens.tokens.shape == (4, 5, V)
    long = GPT(GPTConfig(**SHAPE | {"max_seq_len": 500}))
    with pytest.raises(ValueError, match=f"more than {MOST_TOKENS}"):
        look(long, np.zeros(MOST_TOKENS + 1, int), 0)


def test_tokens_can_be_seen():
    tokenizer = BPETokenizer.from_merges([], ["<|end|>"])
    dinosaur = tokenizer.encode("🦖")
    assert [token_text(tokenizer, token) for token in dinosaur] == ["⟨F0⟩", "⟨9F⟩", "⟨A6⟩", "⟨96⟩"]
    assert whole_text(tokenizer, [*tokenizer.encode("a "), *dinosaur, 999]) == "a 🦖"
    assert token_text(tokenizer, tokenizer.encode(" ")[0]) == "␣"
    assert token_text(tokenizer, tokenizer.special_tokens["<|end|>"]) == "<|end|>"
    assert token_text(tokenizer, 999) == "⟨token 999⟩"
    assert token_text(CharTokenizer("中\n"), 0) in ("中", "⏎")
    assert visible("a\tb\r\x00") == "a⇥b␍⟨U+0000⟩"
    assert visible("\u0301") == "◌\u0301"
    assert visible(b"\xe4\xb8 \xad".decode("utf-8", "surrogateescape")) == "⟨E4 B8⟩␣⟨AD⟩"
    assert visible("") == "⟨empty⟩"


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and what stands in each script."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.scripts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, text):
        if self.tags and self.tags[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts[-1] += text


def facts(**changes) -> PageFacts:
    return PageFacts(**{"title": "a title", "model": "a model", "text": "a text", "layer": 1, "head": None} | changes)


def test_the_page_holds_what_was_seen_whatever_the_tokens_say():
    seen = seen_by(model_of("gpt"))
    names = {token: HOSTILE[token % len(HOSTILE)] for token in range(V)}
    about = facts(title="</title><script>alert(2)</script>{{script}}", text="".join(HOSTILE))
    text = look_page(seen, names, about)
    page = Page(text)
    data = json.loads(page.scripts[0])
    assert data == page_data(seen, names, about)
    assert len(page.scripts) == 2, "the data and the script: no token has become one"
    assert [data["vocabulary"][i][1] for i in data["tokens"]] == seen.ids.tolist()
    assert [data["vocabulary"][i][0] for i in data["tokens"]] == [names[token] for token in seen.ids.tolist()]
    np.testing.assert_allclose(data["lens_probabilities"], seen.lens.probabilities, atol=1e-5)
    assert data["text"] == "".join(HOSTILE)
    assert "{{data}}" in data["text"], "slots in the data are not filled"
    policy = next(each["content"] for tag, each in page.tags if tag == "meta" and "http-equiv" in each)
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}';" in policy, "no other script may run"
    assert [name for _, each in page.tags for name in each if name.startswith("on") or name == "src"] == []
    assert [each["href"] for _, each in page.tags if "href" in each] == ["data:,"]
    assert not re.search(r"@import|url\(|https?://", text.replace(page.scripts[0], ""))


@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_attention_in_the_page_is_rounded_to_bytes(kind):
    seen = seen_by(model_of(kind))
    data = page_data(seen, dict.fromkeys(range(V), "x"), facts(head=2))
    sent = np.frombuffer(base64.b64decode(data["attention"]), np.uint8).reshape(3, 4, -1) / 255
    mask = np.tri(T, dtype=bool) if kind == "gpt" else np.ones((T, T), bool)
    assert sent.shape[-1] == mask.sum()
    np.testing.assert_allclose(sent, seen.attention[:, :, mask], atol=0.51 / 255)
    assert (data["layer"], data["head"]) == (1, 2)


def test_a_hundred_tokens_of_thirty_blocks_and_nine_heads_fit_into_five_megabytes():
    attention = np.broadcast_to(np.float32(0.3), (30, 9, 100, 100))
    assert 4 / 3 * len(attention_bytes(SimpleNamespace(attention=attention, shift=1))) < 2e6


def test_the_command_shows_what_look_saw(tmp_path):
    prompt = "Line 3 </script>\n"
    out_folder = tmp_path / "seen"
    options = ("--max-new-tokens", "4", "--top-k", "3", "--layer", "1", "--head", "0", "--out", out_folder)
    code, out, err = call("look", "--from", PRETRAINED / "gpt2", "--prompt", prompt, *options)
    assert code == 0, err
    model, tokenizer = open_model(PRETRAINED / "gpt2")
    seen = look(model, tokenizer.encode(prompt), 4, 3)
    for t in range(seen.n_prompt, len(seen.ids)):
        assert f"{seen.probabilities[t]:.1%}" in out
        assert token_text(tokenizer, int(seen.ids[t])) in out
    assert out.strip().endswith("kB)")
    image = imread(out_folder / "look.png")
    assert image[..., :3].std() > 0.1, "not blank"
    data = json.loads(Page((out_folder / "look.html").read_text(encoding="utf-8")).scripts[0])
    assert [data["vocabulary"][i][1] for i in data["tokens"]] == seen.ids.tolist()
    assert (data["layer"], data["head"], data["text"]) == (1, 0, tokenizer.decode(seen.ids))
    code, out, err = call("look", "--from", PRETRAINED / "gpt2", "--prompt", prompt, *options)
    assert (code, out) == (2, "")
    assert "exists and is not empty: choose another --out" in err


def test_the_command_reads_without_writing(tmp_path):
    code, out, err = call(
        "look", "--from", PRETRAINED / "bert", "--prompt", "Return the [MASK].", "--out", tmp_path / "bert"
    )
    assert code == 0, err
    assert "what the model read" in out
    assert re.search(r"\[MASK\] +│ +│ +│ +\d │", out), "nobody knows what is behind it"
    pretrain(tmp_path / "run", write_text(tmp_path / "text.txt"), "--steps", "1", "--sample-every", "0")
    code, out, err = call("look", "--from", tmp_path / "run", "--max-new-tokens", "0", "--out", tmp_path / "one")
    assert code == 0, err
    assert "…" in out
    for name in ("bert", "one"):
        assert imread(tmp_path / name / "look.png")[..., :3].std() > 0.1


def test_what_the_command_refuses(tmp_path):
    for options, message in (
        (("--from", PRETRAINED / "gpt2", "--layer", "2"), "--layer must be from 0 to 1 in this model, not 2"),
        (("--from", PRETRAINED / "gpt2", "--head", "-1"), "--head must be from 0 to"),
        (("--from", PRETRAINED / "gpt2", "--max-new-tokens", "9999"), "new ones are more than"),
        (("--from", PRETRAINED / "gpt2", "--top-k", "0"), "at least 1 guess"),
        (("--from", PRETRAINED / "gpt2", "--chat", "--prompt", "Hi"), "chat"),
        (("--from", PRETRAINED / "bert", "--chat"), "a BERT, which does not write: leave --chat out"),
        (("--from", PRETRAINED / "bert", "--max-new-tokens", "3"), "a BERT does not write"),
        (("--from", tmp_path / "none"), "is missing"),
    ):
        code, out, err = call("look", *options, "--out", tmp_path / "refused")
        assert (code, out, len(err.strip().splitlines())) == (2, "", 1), err
        assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_picture_needs_what_fits_together(tmp_path):
    columns = Columns(["$a$"], [0.5], [("中", 0.6)], [["x"], ["$y"]], np.ones((2, 1)))
    look_picture(tmp_path / "look.png", columns, np.eye(2)[None], ["$", "$_"], [0], 0, "中 $a$")
    assert imread(tmp_path / "look.png").std() > 0.1
    with pytest.raises(ValueError, match="do not fit 1 columns, 2 heads and 2 tokens"):
        look_picture(tmp_path / "no.png", columns, np.eye(2)[None], ["a", "b"], [0, 1], 0)
