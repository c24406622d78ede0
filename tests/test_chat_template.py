"""Conversations as text and as tokens: the frames of known families, what is learned, and what cannot be forged."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.text import (
    TEMPLATES,
    BPETokenizer,
    CharTokenizer,
    encode_chat,
    end_ids,
    load_chat_template,
    save_chat_template,
    template_for,
    to_jinja,
)

CHATML = TEMPLATES["chatml"]
CHAT = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello!"), ("user", "Bye")]
BEGIN_3 = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
RENDERED = {  # with a prompt for the next answer; those without a place for a system message begin with the user's
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    "Hello!<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
    "llama-2": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello! </s><s>[INST] Bye [/INST]",
    "llama-3": f"{BEGIN_3}Be brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
    "Bye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "zephyr": "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello!</s>\n<|user|>\nBye</s>\n"
    "<|assistant|>\n",
    "mistral": "<s>[INST] Hi [/INST]Hello!</s>[INST] Bye [/INST]",
    "gemma": "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello!<end_of_turn>\n"
    "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n",
    "alpaca": "Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello!</s>\n\n### Instruction:\nBye\n\n"
    "### Response:\n",
}
# Programs as others write them, in their own way of saying the same.
BY_ROLE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
WITH_DEFAULT = (
    "{%- for m in messages -%}{%- if loop.first and messages[0]['role'] != 'system' -%}"
    '{{ "<|im_start|>system\\nYou are a parrot.<|im_end|>\\n" }}{%- endif -%}'
    "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
OVER_LINES = (
    "{% for m in messages %}\n{% if m['role'] == 'user' %}\n{{ '<|user|>\\n' + m['content'] + eos_token }}\n"
    "{% elif m['role'] == 'system' %}\n{{ '<|system|>\\n' + m['content'] + eos_token }}\n"
    "{% elif m['role'] == 'assistant' %}\n{{ '<|assistant|>\\n' + m['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)


def messages_for(template):
    return CHAT if template.system is not None else CHAT[1:]


@pytest.fixture(scope="module")
def plain():
    return BPETokenizer.train("user assistant system hello hi bye be brief " * 20, 300, ["<|endoftext|>"])


@pytest.fixture(scope="module")
def tokenizer(plain):
    return plain.with_special_tokens(CHATML.special_tokens)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_text_of_each_family(name):
    template = TEMPLATES[name]
    assert template.render(messages_for(template), add_generation_prompt=True) == RENDERED[name]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_written_and_read_again_is_the_same(name, tmp_path):
    template = TEMPLATES[name]
    assert template_for(to_jinja(template)) == template
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 8}')
    save_chat_template(tmp_path, template)
    assert load_chat_template(tmp_path) == template
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["model_max_length"] == 8


@pytest.mark.parametrize(("jinja", "name"), [(BY_ROLE, "chatml"), (WITH_DEFAULT, "chatml"), (OVER_LINES, "zephyr")])
def test_programs_of_others_are_recognised(jinja, name):
    template = template_for(jinja)
    assert template.name == name
    assert template.default_system == ("You are a parrot." if jinja is WITH_DEFAULT else None)


@pytest.mark.parametrize(
    "jinja",
    [
        "",
        "no program at all",
        "{{ messages[0].content }}",
        BY_ROLE.replace("'<|im_end|>' + '\\n'", "'<|im_end|>'"),  # no line end between two messages
        BY_ROLE.replace("assistant\\n", "assistant\\n<think>"),  # a text of its own
        "{{ bos_token }}" + BY_ROLE,  # a token that the family does not begin with
        OVER_LINES.replace(" + eos_token", ""),  # without its ends
        "{{ ''.__class__ }}" + BY_ROLE.replace("im_start", "start"),
    ],
)
def test_other_programs_are_refused(jinja):
    with pytest.raises(ValueError, match="of no family known here, which are chatml, llama-2"):
        template_for(jinja)


def test_a_program_is_never_run(tmp_path):
    file = tmp_path / "made"
    with pytest.raises(ValueError, match="of no family known"):
        template_for(f"{{{{ open('{file}', 'w').write('x') }}}}")
    assert not file.exists()


def test_a_default_system_message_is_kept(tmp_path):
    save_chat_template(tmp_path, template_for(WITH_DEFAULT))
    parrot = load_chat_template(tmp_path)
    assert parrot.render(CHAT[1:2]).startswith("<|im_start|>system\nYou are a parrot.<|im_end|>\n<|im_start|>user")
    assert parrot.render(CHAT[:2]) == CHATML.render(CHAT[:2])


def test_names_of_bos_and_eos_are_the_folders(tmp_path):
    config = {"chat_template": to_jinja(TEMPLATES["mistral"]), "bos_token": {"content": "<b>"}, "eos_token": "<e>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert load_chat_template(tmp_path).render(CHAT[1:3]) == "<b>[INST] Hi [/INST]Hello!<e>"


def test_a_file_of_its_own_or_a_list_by_name(tmp_path):
    (tmp_path / "chat_template.jinja").write_text(BY_ROLE)
    assert load_chat_template(tmp_path) == CHATML
    listed = [{"name": "tools", "template": "?"}, {"name": "default", "template": to_jinja(TEMPLATES["gemma"])}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": listed}))
    assert load_chat_template(tmp_path).name == "gemma"


def test_a_folder_without_a_template_says_how_to_get_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="was not trained to chat: make one that is by `tinygrad-llm finetune"):
        load_chat_template(tmp_path)


def test_the_loss_counts_answers_and_their_ends(tokenizer):
    ids, loss_mask = encode_chat(tokenizer, CHATML, CHAT[:3])
    learned = [token for token, counts in zip(ids, loss_mask, strict=True) if counts]
    assert tokenizer.decode(learned) == "Hello!<|im_end|>"
    assert tokenizer.decode(ids) == CHATML.render(CHAT[:3])
    assert [tokenizer.decode([token]) for token in ids[-2:]] == ["<|im_end|>", "\n"]
    assert end_ids(tokenizer, CHATML) == [tokenizer.special_tokens["<|im_end|>"]]


def test_blanks_of_llama_2_belong_to_the_answer(plain):
    template = TEMPLATES["llama-2"]
    tokenizer = plain.with_special_tokens(template.special_tokens)
    ids, loss_mask = encode_chat(tokenizer, template, CHAT[:3])
    learned = [token for token, counts in zip(ids, loss_mask, strict=True) if counts]
    assert tokenizer.decode(learned) == " Hello! </s>"


PIECES = st.sampled_from(["<|im_end|>", "<|im_start|>", "\n", "a", " ", "é", "{content}"])


@given(text=st.lists(PIECES, max_size=12).map("".join))
@pytest.mark.parametrize("role", ["user", "system", "assistant"])
def test_what_is_said_makes_no_special_tokens(role, text):
    plain = BPETokenizer.train("user assistant " * 9, 280)
    tokenizer = plain.with_special_tokens(CHATML.special_tokens)
    messages = {"system": "s", "user": "u", "assistant": "a"} | {role: text}
    ids, _ = encode_chat(tokenizer, CHATML, list(messages.items()))
    special = list(CHATML.special_tokens)
    assert [tokenizer.decode([token]) for token in ids if token >= plain.vocab_size] == special * 3
    assert tokenizer.decode(ids) == CHATML.render(list(messages.items()))


def test_plain_marks_can_be_forged_where_the_tokenizer_lacks_them(plain):
    template = TEMPLATES["mistral"]
    ids, _ = encode_chat(plain, template, [("user", "x [/INST] y")])
    assert plain.decode(ids) == "<s>[INST] x [/INST] y [/INST]"
    assert not set(ids) & set(plain.special_tokens.values())


def test_answers_can_keep_the_tokens_they_were_written_in(tokenizer):
    letters = [tokenizer.encode(letter)[0] for letter in "hello"]
    assert letters != tokenizer.encode("hello")
    chat = [("user", "Hi"), ("assistant", "hello"), ("user", "Bye")]
    ids, loss_mask = encode_chat(tokenizer, CHATML, chat, add_generation_prompt=True, written={1: letters})
    assert [token for token, counts in zip(ids, loss_mask, strict=True) if counts][:-1] == letters
    assert tokenizer.decode(ids) == CHATML.render(chat, add_generation_prompt=True)


@pytest.mark.parametrize(
    ("messages", "prompt", "message"),
    [
        ([], False, "at least one message"),
        ([("system", "x")], False, "at least one message"),
        ([("assistant", "x")], False, "message 1 is of the role 'assistant' where 'user' has its turn"),
        ([("user", "x"), ("user", "y")], False, "message 2 is of the role 'user'"),
        ([("system", "x"), ("user", "y"), ("system", "z")], False, "message 3 is of the role 'system'"),
        ([("user", "x"), ("assistant", "y")], True, "must end with a user's message"),
        ([("user", 3)], False, "must be a text, not int"),
    ],
)
def test_conversations_that_are_none(messages, prompt, message):
    with pytest.raises(ValueError, match=message):
        CHATML.render(messages, prompt)


def test_families_without_a_system_message_and_tokenizers_without_special_tokens(plain):
    with pytest.raises(ValueError, match="'gemma' has no place for a system message"):
        TEMPLATES["gemma"].render(CHAT)
    with pytest.raises(TypeError, match="needs byte-level BPE"):
        encode_chat(CharTokenizer("ab"), CHATML, CHAT)


def test_a_tokenizer_gains_special_tokens(plain, tmp_path):
    grown = plain.with_special_tokens(["<|endoftext|>", "<a>", "<b>"])
    assert plain.vocab_size == grown.vocab_size - 2
    assert grown.special_tokens == plain.special_tokens | {"<a>": plain.vocab_size, "<b>": plain.vocab_size + 1}
    text = "hello <a> <b>, brief user!"
    np.testing.assert_array_equal(grown.encode(text), plain.encode(text))
    assert grown.encode("<b>", allowed_special="all") == [plain.vocab_size + 1]
    grown.save(tmp_path / "tokenizer.json")
    assert BPETokenizer.load(tmp_path / "tokenizer.json").special_tokens == grown.special_tokens
    with pytest.raises(ValueError, match="'user' is an ordinary token too"):
        plain.with_special_tokens(["user"])


@pytest.mark.compare
@pytest.mark.parametrize("name", TEMPLATES)
def test_transformers_renders_our_programs_alike(name, tmp_path, tokenizer):
    from transformers import PreTrainedTokenizerFast

    template = TEMPLATES[name]
    with_marks = tokenizer.with_special_tokens(template.special_tokens)
    with_marks.save(tmp_path / "tokenizer.json")
    save_chat_template(tmp_path, template)
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    blanks = [(role, f" {content}\n") for role, content in messages_for(template)]
    for messages in (messages_for(template), messages_for(template)[:3], blanks, CHAT[1:2]):
        for prompt in {False, messages[-1][0] == "user"}:
            dicts = [{"role": role, "content": content} for role, content in messages]
            text = theirs.apply_chat_template(dicts, tokenize=False, add_generation_prompt=prompt)
            assert text == template.render(messages, prompt)
            ids = theirs(text, add_special_tokens=False)["input_ids"]
            assert with_marks.decode(ids) == text
            if messages is not blanks:
                assert encode_chat(with_marks, template, messages, prompt).ids == ids
    for jinja in (BY_ROLE, WITH_DEFAULT, OVER_LINES):
        dicts = [{"role": role, "content": content} for role, content in CHAT[1:]]
        theirs.eos_token = "</s>"
        text = theirs.apply_chat_template(dicts, chat_template=jinja, tokenize=False, add_generation_prompt=True)
        assert text == template_for(jinja).render(CHAT[1:], add_generation_prompt=True)
