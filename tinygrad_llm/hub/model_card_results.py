"""What a model's card tells of its quality, and of what it cannot do: both from what was measured."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .model_card_facts import PIPELINES, Saved
from .model_card_text import code, plain, table

# Of summary.json: what it is called, and Hugging Face's name for it; without one it is there to compare with.
OF_A_RUN = {
    "val_bits_per_byte": ("bits per byte", "bits_per_byte"),
    "zlib_bits_per_byte": ("bits per byte of zlib", ""),
    "lzma_bits_per_byte": ("bits per byte of lzma", ""),
    "lzma_primed_bits_per_byte": ("bits per byte of lzma after the training text", ""),
    "val_perplexity": ("perplexity per token", "perplexity"),
    "val_loss": ("loss, nats per token", "loss"),
    "validation_loss": ("loss, nats per hidden token", "loss"),
    "unigram_loss": ("loss by frequency alone", ""),
    "validation_accuracy": ("share of hidden tokens guessed", "accuracy"),
    "unigram_accuracy": ("share guessed by always the commonest", ""),
    "test_exact_match": ("share of targets written exactly", "exact_match"),
    "test_chrf": ("chrF", "chrf"),
    "test_loss": ("loss, nats per token", "loss"),
    "beyond_exact_match": ("written exactly, beyond the range of the training data", ""),
    "beyond_chrf": ("chrF, beyond that range", ""),
}
OF_A_TASK = {
    "accuracy": "accuracy", "macro-F1": "f1", "mean absolute error": "mae", "root mean squared error": "rmse",
    "Pearson's correlation": "pearsonr", "Spearman's correlation": "spearmanr", "exact match": "exact_match",
    "F1 of the words": "f1",
}  # fmt: skip
OF_A_CHAT = {"exact": ("exact match", "exact_match"), "chrf": ("chrF", "chrf"), "rouge_l": ("ROUGE-L", "rougeL")}


@dataclass
class Result:
    """Measured on one part of some data: rows of Markdown, and the numbers among them that have a known name."""

    title: str  # Markdown
    task: str  # Hugging Face's name
    data: str
    split: str
    header: list[str] = field(default_factory=lambda: ["measure", "result", "95 % interval"])
    rows: list[list[str]] = field(default_factory=list)
    measures: list[tuple[str, str, float]] = field(default_factory=list)  # type, name, value

    def add(self, name: str, kind: str, value: Any) -> None:
        """A number, an interval as `Interval.as_dict` has it, or a text."""
        low_high = f"{value['low']:.3f} to {value['high']:.3f}" if isinstance(value, dict) else ""
        number = value["value"] if isinstance(value, dict) else value
        self.rows.append([plain(name), _shown(number), low_high])
        self.measure(kind, name, number)

    def measure(self, kind: str, name: str, value: Any) -> None:
        if kind and isinstance(value, (int, float)) and math.isfinite(value):
            self.measures.append((kind, name, float(f"{value:.6g}")))

    def shown(self) -> str:
        empty = [i for i in range(len(self.header)) if not any(row[i] for row in self.rows)]
        kept = [[cell for i, cell in enumerate(row) if i not in empty] for row in [self.header, *self.rows]]
        return f"{self.title}\n\n{table(kept[0], kept[1:])}"

    def as_metadata(self) -> dict[str, Any]:
        kind = re.sub("[^a-z0-9]+", "-", self.data.lower())
        metrics = [{"type": kind, "name": name, "value": value} for kind, name, value in self.measures]
        dataset = {"name": self.data, "type": kind, "split": self.split}
        return {"task": {"type": self.task}, "dataset": dataset, "metrics": metrics}


def results(saved: Saved) -> list[Result]:
    """All that was measured; nothing where nothing was."""
    if saved.kind == "run":
        found = [_of_run(saved)]
    elif saved.kind == "chat":
        found = [_of_chat(saved.report)]
    elif saved.kind == "preferences" and "test" in saved.report:
        found = [_of_preferences(saved.report)]
    else:
        found = [_of_task(name, task, saved.kind == "tasks") for name, task in saved.tasks.items()]
    found = [each for each in found if each.rows]
    if saved.quantization:
        for each in found:
            each.title = f"Before its weights were rounded. {each.title}"
            each.measures.clear()
        found.append(_of_rounding(saved))
    return found


def _of_run(saved: Saved) -> Result:
    part = "test" if saved.config["model"] == "seq2seq" else "validation"
    title = f"On the {part} part, which it was not trained on:"
    found = Result(title, saved.pipeline, saved.data()[0].name, part)
    for key, (name, kind) in OF_A_RUN.items():
        if key in saved.report:
            found.add(name, kind, saved.report[key])
    return found


def _of_task(name: str, task: dict[str, Any], is_one_of_several: bool) -> Result:
    report = task["report"]
    facts = report.get("data", {})
    label = f"{code(name)}, on" if is_one_of_several else "On"
    examples = f"{facts['examples']['test']:,} examples of the test part" if "examples" in facts else "the test part"
    data = f"Python: {facts['embedded']}" if facts.get("embedded") else "own files"
    found = Result(f"{label} {examples}, never seen:", PIPELINES[task["kind"]], data, "test")
    for measure, value in report.get("test", {}).items():
        found.add(measure, OF_A_TASK.get(measure, ""), value)
    return found


def _of_chat(report: dict[str, Any]) -> Result:
    data = "Python: instructions" if report.get("data", {}).get("embedded") else "own files"
    answers = report["answers"]["all"]
    title = f"On {answers['n']:,} questions of the test part, beside the answer to the most similar training question:"
    header = ["measure", "before", "after", "most similar", "gain, 95 % interval"]
    found = Result(title, "text-generation", data, "test", header)
    for key, (name, kind) in OF_A_CHAT.items():
        each = answers[key]
        gain = f"{each['gained']['low']:.3f} to {each['gained']['high']:.3f}"
        found.rows.append([name, *(_shown(each[which]) for which in ("before", "after", "nearest")), gain])
        found.measure(kind, name, each["after"])
    perplexity = report["perplexity"]
    found.rows.append(["perplexity per token of answers", _shown(perplexity["before"]), _shown(perplexity["after"])])
    found.rows[-1] += ["", ""]
    found.measure("perplexity", "perplexity per token of answers", perplexity["after"])
    return found


def _of_preferences(report: dict[str, Any]) -> Result:
    data = "Python: preferences" if report.get("data", {}).get("embedded") else "own files"
    test, header = report["test"], ["measure", "before", "after", "95 % interval after"]
    found = Result("On pairs of answers of the test part:", "text-generation", data, "test", header)
    before, after = test["accuracy"]
    interval = f"{after['low']:.3f} to {after['high']:.3f}"
    found.rows.append(["held the better answer likelier", _shown(before["value"]), _shown(after["value"]), interval])
    found.measure("accuracy", "held the better answer likelier", after["value"])
    for key, name in (("loss", "DPO loss"), ("margin", "reward margin"), ("plain_loss", "loss on plain text")):
        found.rows.append([name, _shown(test["before"][key]), _shown(test["after"][key]), ""])
    return found


def _of_rounding(saved: Saved) -> Result:
    facts, data = saved.quantization, saved.data()
    dtype, name = str(facts["dtype"]), data[0].name if data else "held-out text"
    header = ["measure", "float32", plain(dtype)]
    found = Result("What rounding its weights did:", saved.pipeline, name, "validation", header)
    found.rows.append(["bytes of the weights", f"{facts['float32_bytes']:,}", f"{facts['bytes']:,}"])
    if "float32_perplexity" in facts:
        perplexities = facts["float32_perplexity"], facts[f"{dtype}_perplexity"]
        found.rows.append(["perplexity on held-out text", *map(_shown, perplexities)])
        found.measure("perplexity", "perplexity per token", perplexities[1])
    return found


def _shown(value: Any) -> str:
    return plain(value) if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def limits(saved: Saved) -> Iterator[str]:
    """What it cannot do, as far as its files tell."""
    shape = saved.shape()
    if "context, in tokens" in shape and saved.kind != "adapter":
        yield f"It sees at most {shape['context, in tokens']:,} tokens at once; of what stands before it knows nothing."
    languages = {language for each in saved.data() for language in each.languages}
    if saved.base:
        yield f"What its base {code(saved.base)} cannot do, it cannot do either, unless it was trained for that."
    elif languages:
        names = " and ".join({"en": "English", "zh": "Chinese"}[each] for each in sorted(languages))
        yield f"Its data are in {names}: other languages it does not know."
    else:
        yield "Which languages its data have was not determined; of others it knows nothing."
    if saved.kind == "run" and saved.family in ("GPT", "Llama"):
        yield from _of_generation(saved.report)
        yield "It continues any text, with whatever is likely after it: it was not taught to answer, nor to refuse."
    elif saved.kind == "run":
        for key, what in (("validation_accuracy", "hidden tokens"), ("test_exact_match", "unseen targets")):
            if key in saved.report:
                yield f"Of {what} it gets {1 - saved.report[key]:.1%} wrong."
        if saved.report.get("validation_loss", 0) > saved.report.get("unigram_loss", math.inf):
            yield "Guesses by the frequency of tokens alone have a lower loss."
        if "beyond_exact_match" in saved.report:
            yield f"Beyond the range of its data it gets {1 - saved.report['beyond_exact_match']:.1%} wrong."
    elif saved.kind in ("chat", "preferences"):
        yield "It was not taught to refuse, and whether its answers do harm was not tested by its training."
    if saved.kind == "chat":
        answers = saved.report["answers"]["all"]
        yield f"{1 - answers['exact']['after']:.1%} of its answers to held-out questions differ from those wanted."
        ours, nearest = (answers["chrf"][which] for which in ("after", "nearest"))
        if nearest >= ours:
            yield f"The answer to the most similar training question is as near: chrF {nearest:.1f} against {ours:.1f}."
    for name, task in saved.tasks.items():
        label = f"{code(name)}: " if saved.kind == "tasks" else ""
        yield from (label + each for each in _of_one_task(task, shape["context, in tokens"]))


def _of_generation(summary: dict[str, Any]) -> Iterator[str]:
    if "val_perplexity" not in summary:
        return
    yield (
        f"On held-out text it is as unsure of each token as if it chose among {summary['val_perplexity']:,.1f} equally "
        "likely ones; facts in what it writes are guesses."
    )
    ours, lzma = summary["val_bits_per_byte"], summary["lzma_primed_bits_per_byte"]
    if ours >= lzma:
        yield f"lzma, which has read the same text, predicts it better: {lzma:.3f} bits per byte against {ours:.3f}."


def _of_one_task(task: dict[str, Any], context: int) -> Iterator[str]:
    settings, report = task.get("settings", {}), task["report"]
    test = {
        name: value["value"] if isinstance(value, dict) else value for name, value in report.get("test", {}).items()
    }
    if task.get("max_seq_len", context) < context:
        yield f"Of a longer text it reads {task['max_seq_len']:,} tokens."
    classes = settings.get("classes")
    if classes:
        shown = ", ".join(map(code, classes[:20])) + (" …" if len(classes) > 20 else "")
        yield f"It knows {len(classes):,} classes and gives every text one of them: {shown}."
    for name in ("accuracy", "exact match"):
        if name in test:
            yield f"Of texts that it never saw it got {1 - test[name]:.1%} wrong."
    if "mean absolute error" in test:
        yield f"Its numbers are {test['mean absolute error']:.3g} off in the mean."
    for name, sign in {"accuracy": 1, "exact match": 1, "mean absolute error": -1}.items():
        for baseline in (each for each in test if each.startswith(f"{name} of ")):
            if sign * test[baseline] >= sign * test[name]:
                yield f"A simple baseline is at least as good: {plain(baseline)}, {test[baseline]:.3f}."
    n = report.get("data", {}).get("examples", {}).get("test")
    if n and n < 100:
        yield f"It was tested on {n:,} examples: another draw of them would give another result; see the interval."
