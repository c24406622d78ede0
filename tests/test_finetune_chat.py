"""Instruction tuning: a small model learns to answer, and `tinygrad-llm finetune chat` says how well."""

import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import call

from tinygrad_llm.data import ExampleSplit
from tinygrad_llm.data.conversations import Conversation
from tinygrad_llm.hub import load_pretrained
from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig
from tinygrad_llm.text import TEMPLATES, BPETokenizer, CharTokenizer, load_chat_template
from tinygrad_llm.train import chat as chat_module
from tinygrad_llm.train.chat import (
    PLAIN,
    AnswerScores,
    ChatTuning,
    answer_loss,
    encode_fitting,
    nearest_answers,
    write_answers,
)
from tinygrad_llm.train.finetune import FineTuneConfig

GPT2 = Path(__file__).parents[1] / "lessons" / "pretrained" / "gpt2"
SOUNDS = {"dog": "Woof!", "cat": "Meow!", "cow": "Moo!"}


def conversation(animal: str, again: str = "") -> Conversation:
    turns = [("user", f"Says a {animal}?"), ("assistant", SOUNDS[animal])]
    if again:
        turns += [("user", f"And a {again}?"), ("assistant", SOUNDS[again])]
    return Conversation(tuple(turns), kind="twice" if again else "once")


CHATS = [conversation(animal) for animal in SOUNDS]
CHATS += [conversation(one, other) for one in SOUNDS for other in SOUNDS]


@pytest.fixture(scope="module")
def tokenizer():
    return BPETokenizer.train(" ".join(map(str, CHATS)) * 3, 330, ["<|endoftext|>"])


def small_gpt(tokenizer, max_seq_len=64):
    config = GPTConfig(tokenizer.vocab_size, max_seq_len, 1, 2, 32, dropout=0.0, init_std=0.1)
    return GPT(config, np.random.default_rng(0))


def tuned(tokenizer, epochs=25.0):
    config = FineTuneConfig(epochs=epochs, batch_size=2, learning_rate=1e-2, layer_decay=1.0, evaluations_per_epoch=0.2)
    tuning = ChatTuning(small_gpt(tokenizer), tokenizer, ExampleSplit(CHATS, CHATS, CHATS), TEMPLATES["chatml"], config)
    return tuning, list(tuning.train())


def test_a_small_model_learns_to_answer_and_to_end(tokenizer):
    tuning, reports = tuned(tokenizer)
    assert reports[-1].score > reports[0].score
    assert tuning.loss("train") == pytest.approx(-max(report.score for report in reports), abs=1e-5)
    answers = write_answers(tuning.base, tuning.tokenizer, tuning.template, [chat.prompt for chat in CHATS], 20)
    scores = AnswerScores.of(answers, [chat.answer for chat in CHATS])
    assert scores.exact.mean() == 1
    assert scores.chrf.mean() == pytest.approx(100)


def test_tuning_grows_the_model_and_counts_what_does_not_fit(tokenizer):
    base = small_gpt(tokenizer)
    long = Conversation((("user", "Says a dog? " * 40), ("assistant", "Woof!")))
    split = ExampleSplit([*CHATS, long], CHATS[:1], CHATS[:1])
    tuning = ChatTuning(base, tokenizer, split, TEMPLATES["chatml"], FineTuneConfig())
    assert base.config.vocab_size == tuning.tokenizer.vocab_size == tokenizer.vocab_size + 2
    assert (tuning.left_out, len(tuning.chats["train"])) == (1, len(CHATS))
    again = ChatTuning(base, tuning.tokenizer, split, TEMPLATES["chatml"], FineTuneConfig())
    assert again.tokenizer.vocab_size == tuning.tokenizer.vocab_size
    with pytest.raises(ValueError, match="no conversation of the validation part fits into 64 tokens"):
        ChatTuning(base, tokenizer, ExampleSplit(CHATS, [long], CHATS), TEMPLATES["chatml"], FineTuneConfig())


def test_last_turns_go_where_a_conversation_does_not_fit(tokenizer):
    twice = conversation("dog", "cat")
    whole = encode_fitting(tokenizer, PLAIN, twice, 100)
    once = encode_fitting(tokenizer, PLAIN, twice, len(whole.ids) - 1)
    assert tokenizer.decode(once.ids) == "Says a dog?\nWoof!\n"
    assert encode_fitting(tokenizer, PLAIN, twice, 3) is None


def test_the_loss_is_that_of_each_answer_alone(tokenizer):
    model = small_gpt(tokenizer)
    chats = [encode_fitting(tokenizer, PLAIN, each, 64) for each in CHATS]
    total = n_tokens = 0
    for chat in chats:
        n = sum(chat.loss_mask[1:])
        total, n_tokens = total + answer_loss(model, [chat], 64) * n, n_tokens + n
    assert answer_loss(model, chats, 64) == pytest.approx(total / n_tokens, rel=1e-5)
    with pytest.raises(ValueError, match="no conversations to measure on"):
        answer_loss(model, [], 64)


def test_a_base_answers_with_the_first_line_that_says_anything(tokenizer, monkeypatch):
    says = [*tokenizer.encode("\n \n"), tokenizer.eos_id, *tokenizer.encode("\n Woof!\nMeow!")]
    monkeypatch.setattr(chat_module, "generate", lambda model, ids, n, **settings: np.array([[*ids[0], *says]]))
    assert write_answers(None, tokenizer, PLAIN, [(("user", "Says a dog?"),)]) == ["Woof!"]


def test_the_nearest_question_answers_too():
    prompts = [(("user", "says the COW?"),), (("user", "Says a cat?"), ("assistant", "Meow!"), ("user", "And a dog?"))]
    assert nearest_answers(CHATS, prompts) == ["Moo!", "Woof!"]


def test_models_and_tokenizers_that_cannot_chat(tokenizer):
    split = ExampleSplit(CHATS, CHATS, CHATS)
    with pytest.raises(TypeError, match="only models that write can learn to answer, a GPT or a Llama, not BERT"):
        ChatTuning(BERT(BERTConfig(40, 16, 2, 1, 2, 8, 16)), tokenizer, split, TEMPLATES["chatml"], FineTuneConfig())
    with pytest.raises(TypeError, match="needs byte-level BPE, not a CharTokenizer"):
        ChatTuning(small_gpt(tokenizer), CharTokenizer("ab"), split, TEMPLATES["chatml"], FineTuneConfig())


def write_rows(path, n=60):
    rows = [
        {"messages": [{"role": "user", "content": f"Hi {i}"}, {"role": "assistant", "content": f"Bye {i % 3}"}]}
        for i in range(n)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"no": 1}]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chat")
    options = ["--from", GPT2, "--data", write_rows(folder / "rows.jsonl"), "--out", folder / "chat", "--epochs", 2]
    code, shown, error = call("finetune", "chat", *options, "--batch-size", 4, "--test-answers", 3)
    assert (code, error) == (0, "")
    return folder / "chat", " ".join(shown.split())


def test_the_command_says_what_it_read_and_what_it_gained(made):
    folder, shown = made
    assert "1 bad row left out" in shown
    assert "line 61: expected 'messages', or 'instruction' and 'output'" in shown
    assert "rows of 64 tokens" in shown
    assert f"tinygrad-llm chat --from {folder}" in shown
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["loss"]["after"] < report["loss"]["before"]
    assert report["perplexity"]["after"] == pytest.approx(np.exp(report["loss"]["after"]))
    gained = report["answers"]["all"]["chrf"]["gained"]
    assert gained["low"] <= gained["value"] <= gained["high"]
    assert report["answers"]["all"]["n"] == len(report["samples"]) <= 3
    assert report["energy"]["assumption"] in shown
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert all(each in card for each in ('- "conversational"', "tinygrad-llm chat --from FOLDER", "| chrF |", "of CO₂"))


def test_the_folder_opens_with_its_template_and_can_be_tuned_on(made, tmp_path):
    folder, _ = made
    pretrained = load_pretrained(folder)
    assert load_chat_template(folder) == TEMPLATES["chatml"]
    assert pretrained.model.config.vocab_size == pretrained.tokenizer.vocab_size
    end = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    assert end == pretrained.tokenizer.special_tokens["<|im_end|>"]
    rows = write_rows(tmp_path / "rows.jsonl")
    options = ["--data", rows, "--out", tmp_path / "x", "--epochs", 0.1, "--test-answers", 1]
    code, shown, _ = call("finetune", "chat", "--from", folder, *options)
    assert code == 0
    assert "as chatml text" in shown


def test_adapters_and_the_new_tokens_learn(made, tmp_path):
    """The rest of the base stays; a base that knows the template's tokens keeps its table too."""
    rows = write_rows(tmp_path / "rows.jsonl")
    for base, learns in ((GPT2, True), (made[0], False)):
        out = tmp_path / base.name
        options = ["--data", rows, "--out", out, "--epochs", 0.5, "--test-answers", 1, "--lora-rank", 2]
        code, _, error = call("finetune", "chat", "--from", base, *options)
        assert (code, error) == (0, "")
        before, after = (dict(load_pretrained(folder).model.named_parameters()) for folder in (base, out))
        table = before.pop("token_embedding.weight").data
        assert np.array_equal(table, after["token_embedding.weight"].data[: len(table)]) != learns
        changed = {name for name in before if not np.array_equal(before[name].data, after[name].data)}
        assert changed
        assert all(name.startswith("blocks.") and name.endswith("weight") for name in changed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give the conversations by --data FILE, or those of Python itself by --embedded instructions"),
        (["--embedded", "packages"], "--embedded must be instructions for chat, not 'packages'"),
        (["--embedded", "instructions", "--template", "chatlm"], "no chat template 'chatlm' (did you mean 'chatml'?)"),
        (["--embedded", "instructions", "--test-answers", "0"], "--test-answers must be at least 1, not 0"),
        (["--embedded", "instructions", "--lora-alpha", "3"], "--lora-alpha goes with a rank above that"),
        (["--embedded", "instructions", "--epochs", "0"], "epochs must be above 0"),
        (["--embedded", "instructions", "--epoch", "1"], "there is no option --epoch (did you mean '--epochs'?)"),
    ],
)
def test_mistakes_are_told_in_one_sentence(options, message, tmp_path):
    code, _, error = call("finetune", "chat", "--from", GPT2, "--out", tmp_path / "x", *options)
    assert code == 2
    assert message in error
    assert len(error.splitlines()) == 1
