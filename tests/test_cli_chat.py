"""`tinygrad-llm chat`: history and cache, what is forgotten, what is streamed; in a terminal and through a pipe."""

import io
import json
import os
import signal
import sys
from types import SimpleNamespace

import numpy as np
import pexpect
import pytest
from cli_runs import call

from tinygrad_llm.cli.chat import PROMPT, answer, command
from tinygrad_llm.cli.conversation import Conversation
from tinygrad_llm.data.conversations import read_conversations
from tinygrad_llm.hub import save_pretrained
from tinygrad_llm.models import GPT, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.text import TEMPLATES, BPETokenizer, encode_chat, save_chat_template

CHATML = TEMPLATES["chatml"]
TOKENIZER = BPETokenizer.train("user assistant " * 9, 280).with_special_tokens(CHATML.special_tokens)
END = TOKENIZER.special_tokens["<|im_end|>"]


class Scripted:
    """A model that says what it is told to, token by token, and remembers what it was given to read."""

    training = False

    def __init__(self, *ids, max_seq_len=64):
        self.config = SimpleNamespace(vocab_size=TOKENIZER.vocab_size, max_seq_len=max_seq_len)
        self.script, self.read = list(ids), []
        self.layers = [SimpleNamespace(length=0)]

    def eval(self):
        return self

    def new_cache(self, batch_size):
        return self

    def next_token_logits(self, ids, cache):
        self.layers[0].length += ids.shape[1]
        self.read.append(ids[0].tolist())
        token = self.script.pop(0) if self.script else END
        if token is KeyboardInterrupt:
            raise KeyboardInterrupt
        logits = np.zeros((1, self.config.vocab_size))
        logits[0, token] = 1
        return SimpleNamespace(data=logits)


def scripted(*texts, max_seq_len=64, **settings):
    ids = [token for text in texts for token in (*TOKENIZER.encode(text), END)]
    model = Scripted(*ids, max_seq_len=max_seq_len)
    return Conversation(model, TOKENIZER, CHATML, **settings), model


def small_models():
    return [
        GPT(GPTConfig(TOKENIZER.vocab_size, 64, 2, 2, 16, init_std=0.5), np.random.default_rng(0)),
        Llama(LlamaConfig(TOKENIZER.vocab_size, 64, 2, 4, 2, 16, 32, init_std=0.5), np.random.default_rng(0)),
    ]


@pytest.mark.parametrize("model", small_models(), ids=["gpt", "llama"])
def test_answers_with_the_cache_are_those_without(model):
    conversation = Conversation(model, TOKENIZER, CHATML, max_new_tokens=6)
    for number, question in enumerate(("a", "b")):
        list(conversation.ask(question))
        fresh = Conversation(model, TOKENIZER, CHATML, max_new_tokens=6)
        fresh.turns = conversation.turns[:number]
        list(fresh.ask(question))
        assert fresh.turns == conversation.turns
    assert all(turn.ids for turn in conversation.turns)


def test_the_second_question_reads_only_what_is_new():
    conversation, model = scripted("Hello!", "Bye!")
    assert "".join(conversation.ask("hi")) == "Hello!"
    model.read.clear()
    assert "".join(conversation.ask("ok")) == "Bye!"
    after_answer = TOKENIZER.encode("\n")
    prompt = encode_chat(TOKENIZER, CHATML, [("user", "ok")], add_generation_prompt=True).ids
    assert model.read[0] == [END, *after_answer, *prompt]
    assert [turn.answer for turn in conversation.turns] == ["Hello!", "Bye!"]


def test_whole_characters_are_streamed():
    conversation, _ = scripted("né €")
    pieces = list(conversation.ask("hi"))
    assert "".join(pieces) == "né €"
    assert len(pieces) > 3
    assert all("\ufffd" not in piece for piece in pieces)


def test_the_oldest_turns_are_forgotten_and_the_system_message_stays(capsys):
    conversation, model = scripted("one", "two", "three", "four", max_seq_len=96, system="S!", max_new_tokens=8)
    for question in ("first question", "second question", "third question"):
        answer(conversation, question)
    shown = capsys.readouterr().out
    assert "(the context is full: forgot the first 1 turn)\nthree\n" in shown
    assert [turn.question for turn in conversation.turns][-1] == "third question"
    read = TOKENIZER.decode(conversation._cached)
    assert read.startswith("<|im_start|>system\nS!<|im_end|>\n<|im_start|>user\nsecond question")
    assert len(conversation._cached) <= model.config.max_seq_len


def test_a_message_longer_than_the_context_is_refused_and_the_rest_kept(capsys):
    conversation, _ = scripted("one")
    answer(conversation, "hi")
    answer(conversation, "x" * 70)
    assert "the model sees only 64 at once: say it in fewer words)" in capsys.readouterr().out
    assert [turn.question for turn in conversation.turns] == ["hi"]


def test_an_answer_that_is_cut_says_so(capsys):
    conversation, _ = scripted("too long an answer", max_new_tokens=5)
    answer(conversation, "hi")
    assert capsys.readouterr().out == "too l … (cut: no room for more)\n"


def test_ctrl_c_ends_the_answer_and_keeps_what_there_is(capsys):
    model = Scripted(*TOKENIZER.encode("ab"), KeyboardInterrupt, *TOKENIZER.encode("cd"), END)
    conversation = Conversation(model, TOKENIZER, CHATML)
    answer(conversation, "hi")
    assert capsys.readouterr().out.endswith(" … (stopped)\n")
    assert conversation.turns[0].answer == "ab"
    answer(conversation, "go on")
    assert capsys.readouterr().out == "cd\n"
    assert [turn.answer for turn in conversation.turns] == ["ab", "cd"]


def test_a_plain_end_is_held_back_until_it_is_sure():
    tokenizer = BPETokenizer.train("user assistant " * 9, 280)
    model = Scripted(*tokenizer.encode("a </ b</s>"), max_seq_len=128)
    model.config.vocab_size = tokenizer.vocab_size
    conversation = Conversation(model, tokenizer, TEMPLATES["alpaca"])
    assert "".join(conversation.ask("hi")) == "a </ b"


def test_commands(tmp_path):
    conversation, _ = scripted("one", "two")
    assert command(conversation, "/save") == "(name a file: /save conversations.jsonl)"
    assert command(conversation, "/save x") == "(nothing was said yet)"
    list(conversation.ask("hi"))
    assert "told this" in command(conversation, "/system Be brief.")
    assert command(conversation, f"/save {tmp_path / 'c.jsonl'}") == f"(added to {tmp_path / 'c.jsonl'}: 1 turn)"
    assert command(conversation, f"/save {tmp_path}") == f"(cannot write {str(tmp_path)!r}: Is a directory)"
    assert read_conversations(tmp_path / "c.jsonl").examples[0].messages == (
        ("system", "Be brief."),
        ("user", "hi"),
        ("assistant", "one"),
    )
    assert command(conversation, "/reset") == "(forgot the conversation)"
    assert conversation.turns == []
    assert [message.role for message in conversation.messages()] == ["system"]
    assert "nothing" in command(conversation, "/system")
    assert "/reset" in command(conversation, "/help")
    assert command(conversation, "/what") == "(there is no /what; /help lists what there is)"
    conversation.template = TEMPLATES["gemma"]
    assert "no place for a system message" in command(conversation, "/system x")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "chat"
    save_pretrained(small_models()[0], folder, TOKENIZER)
    save_chat_template(folder, CHATML)
    return folder


def test_through_a_pipe(folder, monkeypatch, tmp_path):
    lines = f"a\n\n/save {tmp_path / 'c.jsonl'}\n/reset\na\n/quit\nnot read\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    code, shown, error = call("chat", "--from", folder, "--max-new-tokens", 5, "--system", "S")
    assert (code, error) == (0, "")
    first, rest = shown.split(f"(added to {tmp_path / 'c.jsonl'}: 1 turn)\n")
    assert rest == f"(forgot the conversation)\n{first}"
    assert PROMPT not in shown
    messages = json.loads((tmp_path / "c.jsonl").read_text())["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]


def heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_in_a_terminal(folder):
    command = f"{sys.executable} -m tinygrad_llm.cli chat --from {folder} --max-new-tokens 5"
    environment = os.environ | {"TERM": "dumb"}
    options = {"encoding": "utf-8", "codec_errors": "replace", "timeout": 120}
    # what a shell runs in the background ignores Ctrl-C, and so does all that it starts
    child = pexpect.spawn(command, env=environment, preexec_fn=heed_interrupts, **options)
    child.expect_exact("of weights; /help shows what you can do")
    child.expect_exact(PROMPT)
    child.sendline("hello")
    child.expect_exact("(cut: no room for more)")
    child.expect_exact(PROMPT)
    child.kill(signal.SIGINT)
    child.expect_exact("(/quit or Ctrl-D ends)")
    child.sendline("/reset")
    child.expect_exact("(forgot the conversation)")
    child.expect_exact(PROMPT)
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_folders_that_cannot_chat(folder, tmp_path):
    model = small_models()[0]
    save_pretrained(model, tmp_path / "base", TOKENIZER)
    code, _, error = call("chat", "--from", tmp_path / "base")
    assert code == 2
    assert "has no chat template, so its model was not trained to chat" in error
    code, _, error = call("chat", "--from", folder, "--template", "zefyr")
    assert code == 2
    assert "did you mean 'zephyr'?" in error
