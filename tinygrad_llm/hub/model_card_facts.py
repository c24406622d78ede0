"""What the files in a model's folder say about it: the facts of its card, whoever wrote them.

    run          config.json with a preset, corpus.json, summary.json      `tinygrad-llm pretrain`
    task         base/, head.safetensors, task.json, report.json           `finetune classify`, `grade` and `answer`
    tasks        base/, and for each task a folder with the last three     `finetune` with several tasks
    preferences  base/, report.json                                        `finetune prefer`
    chat         config.json of transformers, report.json                  `finetune chat`
    model        config.json of transformers                               `save_pretrained`
    adapter      adapter_config.json                                       `save_adapter`

and beside them, in any, quantization.json and audit.json.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import read_json
from .model_card_text import code, listed
from .weights import QUANTIZED_STEM, STEM, WeightFiles, _shapes

CLASSES = {"gpt2": "GPT", "gpt": "GPT", "llama": "Llama", "bert": "BERT", "seq2seq": "Encoder-decoder"}
SETTINGS = {  # of the model's shape: what they are called in config.json of a run, of transformers, and of its GPT-2
    "layers": ("n_layers", "num_hidden_layers", "n_layer"),
    "attention heads": ("n_heads", "num_attention_heads", "n_head"),
    "width": ("d_model", "hidden_size", "n_embd"),
    "context, in tokens": ("max_seq_len", "max_position_embeddings", "n_positions"),
    "vocabulary": ("vocab_size",),
}
PIPELINES = {
    "GPT": "text-generation", "Llama": "text-generation", "BERT": "fill-mask", "classify": "text-classification",
    "grade": "text-classification", "answer": "question-answering", "numbers": "translation", "dates": "translation",
    "summaries": "summarization",
}  # fmt: skip
PSF = "psf-2.0"
# Of Hugging Face's identifiers those that texts have; others go under `other`, with their name.
IDENTIFIERS = {
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0",
    "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0",
    "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gfdl", "odc-by", "odbl", "pddl", "unlicense", "wtfpl",
}  # fmt: skip
EMBEDDED = {
    "prose": "the manual pages behind Python's `help()` and the docstrings of its standard library",
    "topics": "the manual pages behind Python's `help()`",
    "docstrings": "the docstrings of Python's standard library",
    "sources": "the source files of Python's standard library",
    "packages": "docstrings of Python's standard library, and the package that each is from",
    "pairs": "first sentences of docstrings in Python's standard library, with the function's signature or another's",
    "grades": "signatures in Python's standard library, with lists of parameter names that are right in part, by rule",
    "questions": "questions about signatures in Python's standard library, made by rule",
    "instructions": "questions and answers made by rule from the docstrings of Python's standard library",
    "preferences": "answers from the docstrings of Python's standard library, right and spoiled by rule",
    "names": "names of functions of Python's standard library, and their docstrings",
    "summaries": "functions of Python's standard library, and the first sentences of their docstrings",
}
GENERATED = {"numbers": "numbers in words and digits, made by rule", "dates": "dates in words, made by rule"}


@dataclass(frozen=True)
class Data:
    """What a model was trained on."""

    name: str  # in a few words
    sentence: str  # Markdown
    license: str = ""  # its identifier; empty: unknown
    languages: tuple[str, ...] = ()  # empty: not determined


@dataclass(frozen=True)
class Saved:
    """What is in a folder."""

    folder: Path
    kind: str
    config: dict[str, Any]  # of the model: settings of a run, or transformers'
    report: dict[str, Any] = field(default_factory=dict)  # summary.json of a run, else report.json
    corpus: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)  # name → task.json, and its report under "report"
    quantization: dict[str, Any] = field(default_factory=dict)
    audits: dict[str, dict[str, Any]] = field(default_factory=dict)  # by the folder that they are in

    @property
    def family(self) -> str:
        return CLASSES.get(self.config.get("model_type") or self.config.get("model"), "Model")

    @property
    def base(self) -> str:
        """The name of the model that this one was made from: without the way to its folder, which is the user's."""
        name = self.config.get("base_model_name_or_path") if self.kind == "adapter" else self.report.get("base")
        if self.kind == "model":
            name = self.quantization.get("source")
        parts = [part for part in re.split(r"[/\\]", name or "") if part not in ("", ".", "..", "base")]
        return "" if name == "scratch" or not parts else parts[-1]

    @property
    def pipeline(self) -> str:
        """What Hugging Face calls what it does; empty for an adapter, and several tasks."""
        if self.kind == "task":
            return PIPELINES[next(iter(self.tasks.values()))["kind"]]
        if self.config.get("model") == "seq2seq":
            return PIPELINES.get(self.config["pairs"], "text2text-generation")
        if self.kind == "model" and (self.folder / "modules.json").is_file():
            return "sentence-similarity"
        if self.kind == "model" and self.config.get("architectures") == ["BertModel"]:
            return "feature-extraction"
        return PIPELINES.get(self.family, "") if self.kind not in ("adapter", "tasks") else ""

    @property
    def license(self) -> str:
        """Of the data, where no base brings its own."""
        known = {each.license for each in self.data()}
        return known.pop() if len(known) == 1 and not self.base else ""

    def shape(self) -> dict[str, int]:
        """Parameters, layers …, as far as they are known."""
        found = {"parameters": self.report.get("parameters") or self._n_parameters()}
        # A run's config holds the vocabulary that was asked for; its tokenizer may have less.
        config = self.config | ({"vocab_size": self.report.get("vocab_size")} if self.kind == "run" else {})
        for name, keys in SETTINGS.items():
            found[name] = next((config[key] for key in keys if key in config), None)
        return {name: value for name, value in found.items() if isinstance(value, int)}

    def _n_parameters(self) -> int:
        """Of the tensors in the files; scales of quantised weights are none."""
        shapes: dict[str, tuple[int, ...]] = {}
        if self.kind == "adapter":
            shapes = _shapes(self.folder / "adapter_model.safetensors")
        elif self.kind == "run":
            stored = _shapes(self.folder / "last.safetensors")
            shapes = {name: shape for name, shape in stored.items() if name.startswith("model.")}
        else:
            place = self.folder / "base" if (self.folder / "base").exists() else self.folder
            shapes = WeightFiles(place, QUANTIZED_STEM if "quantization_config" in self.config else STEM).shapes
        return sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(".scale"))

    def data(self) -> list[Data]:
        """Of each task, or the one of the model; nothing where it is not documented."""
        if self.kind == "run":
            return [_data_of_run(self.config, self.report)]
        reports = [task["report"] for task in self.tasks.values()] or [self.report]
        return [_data_of(report["data"], report) for report in reports if "data" in report]


def _data_of_run(config: dict[str, Any], summary: dict[str, Any]) -> Data:
    source, directions = config.get("pairs") or config["embedded_corpus"], config.get("direction", "").split("-")
    if config["model"] == "seq2seq" and source in GENERATED:
        languages = tuple(each for each in directions if each in ("en", "zh"))
        return Data(GENERATED[source], f"{_capital(GENERATED[source])}, so no licence binds them.", "", languages)
    files = [config["pairs"]] if config["model"] == "seq2seq" and source not in EMBEDDED else config["corpus"]
    facts = {"embedded": None if files else source, "files": [re.split(r"[/\\]", str(file))[-1] for file in files]}
    return _data_of(facts | {"license": config.get("license", "")}, summary)


def _data_of(facts: dict[str, Any], report: dict[str, Any]) -> Data:
    if facts.get("embedded"):
        words = _capital(EMBEDDED.get(facts["embedded"], facts["embedded"]))
        python = f"Python {report['versions']['python']}" if "versions" in report else "Python"
        sentence = (
            f"{words}, as they came with the {python} that trained the model. Their licence is the Python Software "
            "Foundation License, version 2."
        )
        return Data(f"Python: {facts['embedded']}", sentence, PSF, ("en",))
    license = facts.get("license") or ""
    known = f"Their licence is {code(license)}." if license else "**Their licence is not documented: fill in.**"
    return Data("own files", f"The author's own files: {listed(facts.get('files', []))}. {known}", license)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def read_saved(folder: Path) -> Saved:
    """Raises ValueError where the folder holds no model, or a file in it is damaged."""
    own = {name: _json(folder / f"{name}.json") for name in ("config", "report", "summary", "corpus", "quantization")}
    base = _json(folder / "base" / "config.json")
    tasks = {
        path.parent.name: read_json(path) | {"report": _json(path.parent / "report.json")}
        for path in sorted([*folder.glob("task.json"), *folder.glob("*/task.json")])
    }
    audits = {path.parent.name: read_json(path) for path in sorted(folder.glob("*/audit.json"))}
    audits = ({"": read_json(folder / "audit.json")} if (folder / "audit.json").is_file() else {}) | audits
    beside = {"quantization": own["quantization"], "audits": audits}
    if (folder / "adapter_config.json").is_file():
        return Saved(folder, "adapter", read_json(folder / "adapter_config.json"), own["report"], **beside)
    if "preset" in own["config"]:
        facts = {"preset": own["config"]["preset"]} | own["config"].get("config", {})
        return Saved(folder, "run", facts, own["summary"], own["corpus"], **beside)
    if base:
        kind = "task" if (folder / "task.json").is_file() else "tasks" if tasks else "preferences"
        report = own["report"] or next((task["report"] for task in tasks.values()), {})
        return Saved(folder, kind, base, report, tasks=tasks, **beside)
    if "model_type" in own["config"]:
        kind = "chat" if "template" in own["report"] else "model"
        return Saved(folder, kind, own["config"], own["report"], **beside)
    raise ValueError(f"{str(folder)!r} holds no model to write a card of: give the folder of a run or of a model")


def _json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
