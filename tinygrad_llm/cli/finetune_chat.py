"""`tinygrad-llm finetune chat`: from a model that continues texts to one that answers, and an honest report.

Read `finetune_chat` top to bottom. Before and after, the same questions of the test part are answered: by the base as
plain text, or by its own template if it has one, and by the new model in the template that it learned. Beside them
stands what a search for the most similar question in the training part would have answered.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..data import ExampleSplit
from ..data.conversations import Conversation, read_conversations, split_conversations
from ..data.instructions import instruction_split
from ..evaluate import bootstrap_interval
from ..files import new_folder, require_free, write_json
from ..hub import chat_template_of, refresh_card
from ..hub.pretrained import write_pretrained
from ..models.decoder import token_tables
from ..nn import lora_layers
from ..text import TEMPLATES, ChatTemplate, end_ids, save_chat_template
from ..train.chat import (
    PLAIN,
    AnswerScores,
    ChatTuning,
    answer_loss,
    encode_fitting,
    nearest_answers,
    write_answers,
)
from ..train.energy import EnergyMeter, flops_per_token
from ..train.fine_tuned import open_model
from ..train.packing import packed_batch, packed_rows, padding_share
from ..train.recipes import did_you_mean
from ..train.run import OTHER_FOLDER
from .adapters import adapt, require_lora, without_adapters
from .chat_options import CHAT
from .cost import assumption, cost_rows, data_facts, fine_tuning_facts
from .display import duration
from .parser import config_fields
from .train import compile_missing_kernels, say

EMBEDDED = "instructions"
N_SAMPLES = 6
MEASURES = {"exact": "exact match", "chrf": "chrF", "rouge_l": "ROUGE-L"}


def finetune_chat(arguments: argparse.Namespace) -> int:
    began, meter, console = time.perf_counter(), EnergyMeter(), Console(highlight=False)
    require_lora(arguments)
    config = dataclasses.replace(CHAT, **config_fields(arguments))
    out = Path(arguments.out or "runs/chat")
    require_free(out, OTHER_FOLDER)
    own = own_template(arguments.base)
    template = named_template(arguments.template) if arguments.template else own or TEMPLATES["chatml"]
    base, tokenizer = open_model(arguments.base)
    split = read_split(arguments, config.seed, console)
    compile_missing_kernels(type(base).__name__.lower(), console)
    vocab_size = base.config.vocab_size
    tuning = ChatTuning(base, tokenizer, split, template, config, arguments.row_length)
    adapt(base, arguments, config.seed)
    if arguments.lora_rank and base.config.vocab_size > vocab_size:
        for table in token_tables(base):  # new tokens all begin alike, and have to learn who they are
            table.requires_grad_(True)
    tested = drawn(split.test, arguments.test_answers, config.seed)
    _say_what_comes(console, tuning)
    with new_folder(out, OTHER_FOLDER) as building:  # from now on, so that another one cannot take it meanwhile
        before = measure(tuning, own or PLAIN, tested)
        say(console, f"before: {_loss(before['loss'])} per token of answers, as {(own or PLAIN).name} text")
        history = train(tuning, began, console, meter)
        cost = fine_tuning_facts(base, config, history[-1], flops_per_token(base, tuning.row_length), meter)
        after = measure(tuning, template, tested)
        save_chat_model(tuning, building)
        facts = {"base": str(arguments.base), "template": template.name, "config": dataclasses.asdict(config)}
        nearest = nearest_answers(split.train, [each.prompt for each in tested])
        facts |= cost | {"data": data_facts(arguments, arguments.data or (), arguments.embedded, split)}
        report = facts | compare(before, after, nearest, tested) | {"history": history}
        write_json(building / "report.json", report | {"seconds": time.perf_counter() - began})
        refresh_card(building)
    show(report, out, time.perf_counter() - began, console)
    return 0


def own_template(folder: str) -> ChatTemplate | None:
    """That of a base which can chat already; None where it has none, or one that is not known here."""
    try:
        return chat_template_of(folder)
    except (FileNotFoundError, ValueError):
        return None


def named_template(name: str) -> ChatTemplate:
    if name not in TEMPLATES:
        raise ValueError(
            f"there is no chat template {name!r}{did_you_mean(name, TEMPLATES)}; there are {', '.join(TEMPLATES)}"
        )
    return TEMPLATES[name]


def read_split(arguments: argparse.Namespace, seed: int, console: Console) -> ExampleSplit:
    if (arguments.data is None) == (arguments.embedded is None):
        raise ValueError("give the conversations by --data FILE, or those of Python itself by --embedded instructions")
    if arguments.max_examples is not None and arguments.max_examples < 3:
        raise ValueError(f"--max-examples must be at least 3, not {arguments.max_examples}")
    if arguments.test_answers < 1:
        raise ValueError(f"--test-answers must be at least 1, not {arguments.test_answers}")
    if arguments.embedded is not None:
        if arguments.embedded != EMBEDDED:
            raise ValueError(f"--embedded must be {EMBEDDED} for chat, not {arguments.embedded!r}")
        split = instruction_split(seed)
    else:
        table = read_conversations(arguments.data, arguments.encoding)
        if table.problems:
            say(console, str(table))
        split = split_conversations(table.examples, seed=seed)
    if arguments.max_examples is not None:
        total = len(split.train) + len(split.validation) + len(split.test)
        share = min(arguments.max_examples / total, 1.0)
        parts = (split.train, split.validation, split.test)
        split = ExampleSplit(*(drawn(part, max(round(share * len(part)), 1), seed) for part in parts))
    return split


def drawn(conversations: Sequence[Conversation], n: int, seed: int) -> list[Conversation]:
    """n of them, or all if they are fewer, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(conversations))[:n]
    return [conversations[i] for i in sorted(chosen)]


def _say_what_comes(console: Console, tuning: ChatTuning) -> None:
    rows = packed_rows(tuning.chats["train"], tuning.row_length)
    share = padding_share([packed_batch(rows, tuning.row_length)])
    sizes = {part: len(chats) for part, chats in tuning.chats.items()}
    say(
        console,
        f"{sizes['train']:,} conversations to train on, {sizes['validation']:,} to stop by, {sizes['test']:,} to test "
        f"the result; {tuning.left_out:,} longer than {tuning.row_length} tokens left out",
    )
    say(console, f"packed into {len(rows):,} rows of {tuning.row_length} tokens, {share:.1%} of it padding")
    model = tuning.base
    say(
        console,
        f"{type(model).__name__} with {model.num_parameters():,} parameters, up to {tuning.n_steps:,} steps; "
        f"template {tuning.template.name}",
    )


def train(tuning: ChatTuning, began: float, console: Console, meter: EnergyMeter) -> list[dict]:
    """What was measured at each evaluation."""
    history = []
    for report in tuning.train():
        meter.read()  # a counter must not start anew unseen
        line = {"step": report.step, "loss": report.loss, "validation": -report.score, "best": report.is_best}
        history.append(line | {"tokens": report.tokens, "seconds": report.seconds})
        best = " (best so far)" if report.is_best else ""
        say(
            console,
            f"step {report.step}/{tuning.n_steps}  loss {report.loss:.4f}  validation {_loss(-report.score)}{best}  "
            f"{time.perf_counter() - began:.0f} s",
        )
    return history


def measure(tuning: ChatTuning, template: ChatTemplate, tested: Sequence[Conversation]) -> dict[str, Any]:
    """The loss per token of the test part's answers in this template, and the model's own answers to `tested`."""
    fitting = tuning.row_length + 1
    chats = [encode_fitting(tuning.tokenizer, template, each, fitting) for each in tuning.split.test]
    loss = answer_loss(tuning.base, [chat for chat in chats if chat is not None], tuning.row_length)
    answers = write_answers(tuning.base, tuning.tokenizer, template, [each.prompt for each in tested])
    return {"loss": loss, "answers": answers}


def compare(before: dict, after: dict, nearest: list[str], tested: Sequence[Conversation]) -> dict[str, Any]:
    wanted = [each.answer for each in tested]
    scores = [AnswerScores.of(answers, wanted) for answers in (before["answers"], after["answers"], nearest)]
    kinds = {"all": np.arange(len(tested))}
    for kind in sorted({each.kind for each in tested} - {""}):
        kinds[kind] = np.array([i for i, each in enumerate(tested) if each.kind == kind])
    samples = [
        {"prompt": str_of(each.prompt), "wanted": each.answer, "before": old, "after": new}
        for each, old, new in zip(tested, before["answers"], after["answers"], strict=True)
    ]
    return {
        "loss": {"before": before["loss"], "after": after["loss"]},
        "perplexity": {"before": math.exp(before["loss"]), "after": math.exp(after["loss"])},
        "answers": {kind: _measured(*scores, rows) for kind, rows in kinds.items()},
        "samples": samples,
    }


def str_of(messages: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"{role}: {content}" for role, content in messages)


def _measured(before: AnswerScores, after: AnswerScores, nearest: AnswerScores, rows: np.ndarray) -> dict[str, Any]:
    """Each measure before, after and for the nearest questions, and the interval of after − before."""
    found: dict[str, Any] = {"n": len(rows)}
    for name in MEASURES:
        old, new = getattr(before, name)[rows], getattr(after, name)[rows]
        gained = bootstrap_interval(np.mean, new - old, rng=np.random.default_rng(0))
        means = {"before": old, "after": new, "nearest": getattr(nearest, name)[rows]}
        found[name] = {which: float(values.mean()) for which, values in means.items()} | {"gained": gained.as_dict()}
    return found


def save_chat_model(tuning: ChatTuning, folder: Path) -> None:
    """Into a folder that exists: the model, adapters merged in, and a tokenizer that knows the template and where
    answers end."""
    if lora_layers(tuning.base):
        without_adapters(tuning.base)
    write_pretrained(tuning.base, folder, tuning.tokenizer)
    save_chat_template(folder, tuning.template)
    end = end_ids(tuning.tokenizer, tuning.template)
    if len(end) == 1:  # transformers' `generate` stops there too
        write_json(folder / "generation_config.json", {"eos_token_id": end[0]})


def show(report: dict[str, Any], out: Path, seconds: float, console: Console) -> None:
    table = Table("asked for", "answers", *MEASURES.values(), title=f"{out.name}: functions or prompts never seen")
    for kind, found in report["answers"].items():
        cells = ["{before:.3g} → {after:.3g} ({nearest:.3g})".format(**found[name]) for name in MEASURES]
        table.add_row(kind, str(found["n"]), *cells)
    console.print(table)
    say(console, "in brackets: the answer to the most similar question of the training part")
    gained = report["answers"]["all"]["chrf"]["gained"]
    say(console, f"chrF gained {gained['value']:.1f} (95 % interval {gained['low']:.1f} to {gained['high']:.1f})")
    before, after = report["loss"]["before"], report["loss"]["after"]
    say(console, f"per token of answers: {_loss(before)} before, {_loss(after)} after; wall time {duration(seconds)}")
    for name, text in cost_rows(report).items():
        say(console, f"{name}: {text}")
    say(console, assumption(report))
    for sample in report["samples"][:N_SAMPLES]:
        console.print(Text(f"\n{sample['prompt']}", style="bold"))
        console.print(
            Text(f"  before: {sample['before']!r}\n  after:  {sample['after']}\n  wanted: {sample['wanted']}")
        )
    console.print(Text(f"\ngo on with:\n  tinygrad-llm chat --from {shlex.quote(str(out))}"), soft_wrap=True)


def _loss(loss: float) -> str:
    return f"{loss:.3f} nats (perplexity {math.exp(loss):,.1f})"
