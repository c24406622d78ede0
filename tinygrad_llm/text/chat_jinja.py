"""Chat templates on disk: the program in Jinja's language that Hugging Face's tokenizer_config.json holds.

    {% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + … }}{% endfor %}

A program that comes with a downloaded model is not run here. It is taken apart: the texts in it must make up the frame
of a family of chat.py, all of it and nothing else; then that family's own template does the work.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..files import read_json, write_json
from ..json_text import shortened
from .chat import CONTENT, ROLES, TEMPLATES, ChatTemplate

CONFIG, JINJA = "tokenizer_config.json", "chat_template.jinja"
MOST_CHARACTERS, MOST_TEXTS = 1 << 15, 100  # of a program; those of the families here have a few thousand, and 20 texts
_CLOSING = {"{#": "#}", "{%": "%}", "{{": "}}"}
_LITERAL = re.compile(r"'((?:\\.|[^'\\])*)'|\"((?:\\.|[^\"\\])*)\"", re.DOTALL)
_SUBSCRIPT = re.compile(r"\[\s*(['\"])\w+\1\s*\]|raise_exception\([^)]{0,1000}\)")
_SET = re.compile(r"\s*set\s+\w+\s*=(.*)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_VARIABLE = "\0"  # stands for what an expression takes from a variable
_ROLE_NAMES = (*ROLES, "model")


def to_jinja(template: ChatTemplate) -> str:
    """The template as a program for Hugging Face's `apply_chat_template`, which gives what `render` gives."""
    trim = " | trim" if template.strip else ""
    system = ""
    if template.system is None:
        first = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system message here') }}{% endif %}"
        first += "{% set turns = messages %}"
    else:
        first = (
            "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
            "{% set turns = messages[1:] %}"
            "{% else %}{% set system = none %}{% set turns = messages %}{% endif %}"
        )
        opening, closing = (_expression(template, piece) for piece in template.system.split(CONTENT))
        if template.system_in_user:
            system = "{% if loop.first and system is not none %}"
            system += f"{{% set content = {opening} + system + {closing} + content %}}{{% endif %}}"
        else:
            first += f"{{% if system is not none %}}{{{{ {opening} + (system{trim}) + {closing} }}}}"
            if template.default_system is not None:
                default = _expression(template, template.system.replace(CONTENT, template.default_system))
                first += f"{{% else %}}{{{{ {default} }}}}"
            first += "{% endif %}"
    user, answer = (
        " + (content%s) + ".join(_expression(template, piece) for piece in frame.split(CONTENT)) % trim
        for frame in (template.user, template.prompt + template.answer + template.end + template.after)
    )
    return (
        f"{f'{{{{ {_expression(template, template.begin)} }}}}' if template.begin else ''}{first}"
        "{% for message in turns %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('User and assistant must take turns') }}{% endif %}"
        f"{{% set content = message['content'] %}}{system}"
        f"{{% if message['role'] == 'user' %}}{{{{ {user} }}}}{{% else %}}{{{{ {answer} }}}}{{% endif %}}"
        "{% endfor %}"
        f"{{% if add_generation_prompt %}}{{{{ {_expression(template, template.prompt)} }}}}{{% endif %}}"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _expression(template: ChatTemplate, text: str) -> str:
    """A frame's text, with bos and eos as the variables that the tokenizer fills in."""
    variables = {template.bos: "bos_token", template.eos: "eos_token"}
    names = [re.escape(name) for name in variables if name]
    pieces = re.split(f"({'|'.join(names)})", text) if names else [text]
    shown = [variables[piece] if piece in variables else _quoted(piece) for piece in pieces if piece]
    return " + ".join(shown) or "''"


def template_for(jinja: str) -> ChatTemplate:
    """The family that a `chat_template` of Hugging Face's belongs to; it is read, not run.

    Raises ValueError where it is none of those known here.
    """
    if len(jinja) > MOST_CHARACTERS:
        raise ValueError(f"this chat template has {len(jinja):,} characters, and those read here {MOST_CHARACTERS:,}")
    found = list(_texts(jinja))
    strip = bool(re.search(r"\|\s*trim|\.strip\(\)", jinja))
    for template in TEMPLATES.values():
        default, texts = _default_system(template, found)
        tokens = {"bos_token": template.bos, "eos_token": template.eos}
        used = {token for name, token in tokens.items() if name in jinja}
        if "" not in used and _makes_up(template, set(texts), used):
            return replace(template, default_system=default, strip=strip)
    raise ValueError(
        f"this chat template is of no family known here, which are {', '.join(TEMPLATES)}: "
        "if the model was trained with one of them, say which"
    )


class _Tag(NamedTuple):
    """{# a comment #}, {% a statement %} or {{ an expression }}."""

    opening: str
    code: str  # between the two marks
    start: int
    stop: int

    @property
    def is_block(self) -> bool:
        return self.opening == "{%"


def _tags(jinja: str) -> Iterator[_Tag]:
    """In their order. Each place is looked at once, however many tags stay open: a regular expression would take the
    square of the length."""
    place, closing_after = 0, dict.fromkeys(_CLOSING, 0)  # where the next closing mark of each kind is, or −1
    for opening in re.finditer(r"\{[#%{]", jinja):
        kind, start = opening[0], opening.start()
        if start < place:
            continue
        if 0 <= closing_after[kind] < start + 2:
            closing_after[kind] = jinja.find(_CLOSING[kind], start + 2)
        if closing_after[kind] >= 0:
            place = closing_after[kind] + 2
            yield _Tag(kind, jinja[start + 2 : place - 2], start, place)


def _texts(jinja: str) -> Iterator[str]:
    """What the program may write or put into variables, piece by piece: "<|im_start|>\0\n\0<|im_end|>\n"."""
    place, after_block = 0, False
    for tag in [*_tags(jinja), None]:
        raw = jinja[place : tag.start if tag else len(jinja)]
        if tag and tag.is_block:  # Hugging Face's settings: lstrip_blocks, and now trim_blocks
            raw = re.sub(r"\n[ \t]+$", "\n", raw)
        raw = raw.removeprefix("\n") if after_block else raw
        raw = raw.lstrip() if jinja[max(place - 3, 0) : place].startswith("-") else raw
        raw = raw.rstrip() if tag and tag.code.startswith("-") else raw
        if raw:
            yield raw
        if tag is None:
            return
        place, after_block = tag.stop, tag.is_block
        assigned = _SET.match(tag.code.lstrip("-")) if tag.is_block else None
        expression = tag.code if tag.opening == "{{" else assigned[1] if assigned else ""
        text = _text_of(expression.strip("-"))
        if text.strip(_VARIABLE) and text not in _ROLE_NAMES:
            yield text


def _text_of(expression: str) -> str:
    """The texts in a sum of texts and variables, and `_VARIABLE` for each of the latter."""
    text, place, expression = "", 0, _SUBSCRIPT.sub("", expression)
    for literal in [*_LITERAL.finditer(expression), None]:
        code = expression[place : literal.start() if literal else len(expression)]
        text += _VARIABLE * len([term for term in re.split(r"[+~]", code) if term.strip(" \t\n()")])
        if literal:
            said = literal[1] if literal[1] is not None else literal[2]
            text += re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), said, flags=re.DOTALL)
            place = literal.end()
    return text


def _default_system(template: ChatTemplate, texts: list[str]) -> tuple[str | None, list[str]]:
    """The system message that the program writes by itself, or None, and all other texts."""
    before, after = (template.system or CONTENT).split(CONTENT)
    if not before or template.system_in_user:
        return None, texts
    for i, text in enumerate(texts):
        is_default = text.startswith(before) and text.endswith(after) and len(text) > len(before + after)
        if is_default and _VARIABLE not in text:
            return text[len(before) : len(text) - len(after)], texts[:i] + texts[i + 1 :]
    return None, texts


def _makes_up(template: ChatTemplate, texts: set[str], tokens: set[str]) -> bool:
    """Whether the texts are those of the frame: each stands in it, and all of it can be put together from them.

    A variable may be what is said, the name of a role, or one of `tokens`.
    """
    answer = template.prompt + template.answer + template.end + template.after
    frames = [template.begin, template.system or "", template.user, answer, template.prompt]
    frames = [frame.replace(CONTENT, _VARIABLE) for frame in frames]
    if template.system_in_user:
        frames[1] += _VARIABLE  # what the user says follows
    variable = f"(?:{'|'.join(map(re.escape, (_VARIABLE, *_ROLE_NAMES, *sorted(tokens))))})"
    if len(texts) > MOST_TEXTS or max(map(len, texts), default=0) > max(map(len, frames)):
        return False
    patterns = [re.compile(variable.join(map(re.escape, text.split(_VARIABLE)))) for text in texts]
    if not all(any(pattern.search(frame) for frame in frames) for pattern in patterns):
        return False
    return all(_can_be_made(frame, [*patterns, re.compile(variable)]) for frame in frames)


def _can_be_made(frame: str, patterns: list[re.Pattern[str]]) -> bool:
    """Whether a text is a row of some of the patterns, each as often as you like."""
    reached = [True] + [False] * len(frame)  # reached[i]: the first i characters are
    for end in range(1, len(frame) + 1):
        reached[end] = any(
            reached[start] and any(pattern.fullmatch(frame, start, end) for pattern in patterns) for start in range(end)
        )
    return reached[-1]


def load_chat_template(folder: str | os.PathLike) -> ChatTemplate:
    """The template of a model's folder, with the folder's own names of bos and eos.

    Raises FileNotFoundError where the folder has none, ValueError where it is of an unknown family.
    """
    folder = Path(folder)
    config = read_json(folder / CONFIG) if (folder / CONFIG).exists() else {}
    jinja = config.get("chat_template")
    if isinstance(jinja, list):  # several, by name
        named = [each for each in jinja if isinstance(each, dict) and each.get("name") == "default"]
        jinja = named[0].get("template") if named else None
    if jinja is None and (folder / JINJA).exists():
        jinja = _read_program(folder / JINJA)
    if not isinstance(jinja, str):
        raise FileNotFoundError(
            f"{str(folder)!r} has no chat template, so its model was not trained to chat: "
            "make one that is by `tinygrad-llm finetune chat`"
        )
    try:
        return template_for(jinja).with_tokens(*(_name(config.get(name)) for name in ("bos_token", "eos_token")))
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None


def _read_program(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8, so no chat template ({error}): get the file again") from None


def _name(token: Any) -> str:
    """A token's name in tokenizer_config.json, where it may be an object with options."""
    token = token.get("content") if isinstance(token, dict) else token
    if isinstance(token, str) and CONTENT in token:
        raise ValueError(f"a token is called {shortened(token, 60)!r}, which stands for what is said: rename it")
    return token if isinstance(token, str) else ""


def save_chat_template(folder: str | os.PathLike, template: ChatTemplate) -> None:
    """Write the template into the folder's tokenizer_config.json, which is made where it is missing."""
    path = Path(folder) / CONFIG
    config = read_json(path) if path.exists() else {}
    used = {"bos_token": template.bos, "eos_token": template.eos}
    write_json(
        path, config | {name: token for name, token in used.items() if token} | {"chat_template": to_jinja(template)}
    )
