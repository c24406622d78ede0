"""README.md beside a model: its card, in the form that Hugging Face reads (Mitchell and others 2019, "Model cards for
model reporting"). Everything in it is in the folder's files already, so it can be written anew at any time:

    refresh_card("runs/laptop-1")

Metadata names no `datasets`: these must be names on Hugging Face's server, where own files and Python's texts are not.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..files import write_text
from .model_card_facts import IDENTIFIERS, PSF, Saved, read_saved
from .model_card_results import Result, limits, results
from .model_card_text import bullets, code, plain, table, yaml

CARD = "README.md"
MARK = "<!-- Written by tinygrad_llm; a card that was edited is never replaced. sha256 {digest} -->"
PSF_LINK = "https://docs.python.org/3/license.html"
USES = {  # what it does, and the command for it, by Hugging Face's name for that
    "text-generation": ("continues texts", "generate --run FOLDER --prompt 'The '"),
    "fill-mask": ("guesses hidden words", "fill-mask --from FOLDER 'Return the [MASK] of items.'"),
    "translation": ("writes a target for a source", "translate --from FOLDER 'TEXT'"),
    "summarization": ("writes a target for a source", "translate --from FOLDER 'TEXT'"),
    "text2text-generation": ("writes a target for a source", "translate --from FOLDER 'TEXT'"),
    "feature-extraction": ("makes a vector of each token of a text", ""),
    "sentence-similarity": ("makes vectors of texts, near where the texts mean the same", "embed 'TEXT' --from FOLDER"),
    # Of ours, where there are several of one name, or the command is another one.
    "classify": ("chooses a class for a text", "classify 'TEXT' --from FOLDER"),
    "grade": ("gives a text a number", "grade 'TEXT' --from FOLDER"),
    "answer": ("finds the answer to a question in a text", "answer 'QUESTION' --context FILE --from FOLDER"),
    "chat": ("answers in conversations", "chat --from FOLDER"),
    "preferences": ("continues texts, towards answers that were preferred", ""),
}
TRAINING = {  # of a report or of its settings
    "preset": "preset", "steps": "steps", "best_step": "best step, whose weights these are", "tokens": "tokens",
    "optimizer": "optimizer", "learning_rate": "learning rate", "batch_size": "batch size", "epochs": "epochs at most",
    "layer_decay": "learning rate of each block, of that above it", "muon_factor": "Muon's rate, times the other",
    "lora_rank": "rank of the adapters", "beta": "β of DPO", "template": "template",
}  # fmt: skip


def refresh_card(folder: str | os.PathLike) -> bool:
    """Write the card of the model in a folder, or write it anew; False where there is one that is not ours, or edited.

    Of a task among several the folder above gets it. Raises ValueError where the folder holds no model or one of its
    files is damaged, OSError where the card cannot be written.
    """
    folder = Path(folder)
    if (folder / "task.json").is_file() and not (folder / "base").exists():
        folder = folder.parent
    path = folder / CARD
    if path.exists() and not _is_untouched(path.read_text(encoding="utf-8", errors="replace")):
        return False
    try:
        head, body = card(folder)
    except (AttributeError, IndexError, KeyError, TypeError) as error:  # JSON, but not of the shape that we write
        raise ValueError(
            f"a .json file in {str(folder)!r} is damaged, and no card can be written from it ({error!r}): make the "
            "model again"
        ) from None
    write_text(path, f"---\n{head}\n---\n{MARK.format(digest=_digest(head, body))}\n{body}")
    return True


def card(folder: Path) -> tuple[str, str]:
    """The metadata, as YAML, and the text below, as Markdown. Raises ValueError where the folder holds no model."""
    saved = read_saved(folder)
    found = results(saved)
    sections = {
        "": _intro(saved),
        "Data": _data(saved),
        "Size": table(["what", "number"], [[name, f"{n:,}"] for name, n in saved.shape().items()]),
        "Training": _training(saved),
        "Results": "\n\n".join(each.shown() for each in found) or _missing(saved),
        "Bias and memorisation": _audits(saved),
        "Energy": _energy(saved),
        "Limits": bullets(limits(saved)),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" if title else text for title, text in sections.items())
    return yaml(_metadata(saved, found)), body + "\n"


def _digest(head: str, body: str) -> str:
    return hashlib.sha256(f"{head}\n{body}".encode()).hexdigest()


def _is_untouched(text: str) -> bool:
    pattern = r"---\n(.*?)\n---\n" + re.escape(MARK).replace(re.escape("{digest}"), "([0-9a-f]{64})") + r"\n(.*)"
    found = re.fullmatch(pattern, text, re.DOTALL)
    return found is not None and found[2] == _digest(found[1], found[3])


def _use(saved: Saved) -> tuple[str, str]:
    kind = next(iter(saved.tasks.values()))["kind"] if saved.kind == "task" else saved.kind
    does, command = USES.get(kind) or USES.get(saved.pipeline, ("", ""))
    return does, "" if saved.kind == "model" and command.startswith("generate") else command


def _metadata(saved: Saved, found: list[Result]) -> dict[str, Any]:
    license = saved.license.lower()
    languages = sorted({language for each in saved.data() for language in each.languages})
    metadata: dict[str, Any] = {"license": license if license in IDENTIFIERS else "other" if license else "unknown"}
    if metadata["license"] == "other":
        metadata |= {"license_name": license} | ({"license_link": PSF_LINK} if license == PSF else {})
    metadata |= {"language": languages} if languages else {}
    metadata["library_name"] = _library(saved)
    metadata |= {"pipeline_tag": saved.pipeline} if saved.pipeline else {}
    metadata["tags"] = list(dict.fromkeys(_tags(saved)))
    metadata |= {"base_model": saved.base} if re.fullmatch(r"[A-Za-z0-9][\w.-]*", saved.base) else {}
    index = [each.as_metadata() for each in found if each.measures]
    return metadata | ({"model-index": [{"name": _title(saved), "results": index}]} if index else {})


def _library(saved: Saved) -> str:
    if saved.kind == "adapter":
        return "peft"
    if saved.kind not in ("chat", "model") or "quantization_config" in saved.config:
        return "tinygrad_llm"
    return "sentence-transformers" if (saved.folder / "modules.json").is_file() else "transformers"


def _tags(saved: Saved) -> Iterator[str]:
    yield "tinygrad_llm"
    if saved.kind != "adapter":
        yield saved.family.lower()
    yield from (task["kind"] for task in saved.tasks.values())
    yield from {"chat": ["conversational"], "preferences": ["dpo"], "adapter": ["lora"]}.get(saved.kind, [])
    if saved.quantization:
        yield str(saved.quantization.get("dtype", "int8"))


def _title(saved: Saved) -> str:
    n = saved.shape()["parameters"]
    return f"{'LoRA adapter' if saved.kind == 'adapter' else saved.family} with {n:,} parameters"


def _intro(saved: Saved) -> str:
    does, command = _use(saved)
    names = {name: USES[task["kind"]] for name, task in saved.tasks.items()} if saved.kind == "tasks" else {}
    lines = [f"# {_title(saved)}", f"A model that {does}." if does else ""]
    if names:
        tasks = (f"{code(name)} {words}" for name, (words, _) in names.items())
        lines += ["One model with a head for each task:", bullets(tasks)]
    elif saved.kind == "adapter":
        layers = saved.config.get("target_modules") or []
        rank, alpha = (plain(saved.config.get(name)) for name in ("r", "lora_alpha"))
        lines.append(f"Low-rank corrections (rank {rank}, alpha {alpha}) of {', '.join(map(code, layers))}.")
    if saved.base:
        lines.append(f"It was made from {code(saved.base)}: what that has learned from is for its own card to tell.")
    if saved.quantization:
        lines.append(f"Its weights were rounded to {plain(saved.quantization.get('dtype'))} after training.")
    if saved.kind == "adapter":
        lines.append("To put it on its base: `load_adapter(model, FOLDER)` of tinygrad_llm, or PEFT's `PeftModel`.")
    elif command:
        lines.append(f"To use it, with its folder for FOLDER:\n\n    tinygrad-llm {command}")
    return "\n\n".join(line for line in lines if line)


def _data(saved: Saved) -> str:
    names = list(saved.tasks) if saved.kind == "tasks" else []
    found = [each.sentence for each in saved.data()]
    if not found:
        return _missing(saved, " what it was trained on, and under which licence that is")
    lines = [bullets(f"{code(name)}: {each}" for name, each in zip(names, found, strict=True))] if names else found
    limit = saved.config.get("max_characters") if saved.kind == "run" else 0
    lines.append(f"Of them the first {limit:,} characters were used." if limit else "")
    steps = [*saved.corpus.get("cleaning", "").splitlines(), f"split {saved.corpus.get('split', '')}"]
    lines.append(bullets(plain(step) for step in [*steps, saved.corpus.get("written")]) if saved.corpus else "")
    for name, task in saved.tasks.items() or {"": {"report": saved.report}}.items():
        counts = task["report"].get("data", {}).get("examples")
        if counts:
            label = f"{code(name)}: " if names else ""
            train, validation, test = (f"{counts[part]:,}" for part in ("train", "validation", "test"))
            lines.append(f"{label}{train} examples to train on, {validation} to stop by, {test} to test the result.")
    if saved.base:
        lines.append("The licence of the base counts as well: so the metadata leave open which the model has.")
    elif saved.license:
        lines.append("The licence in the metadata is that of the data; tinygrad_llm itself claims none on the model.")
    return "\n\n".join(line for line in lines if line)


def _training(saved: Saved) -> str:
    report, settings = saved.report, saved.config if saved.kind == "run" else saved.report.get("config", {})
    known = {**settings, **report}
    rows = [[name, _setting(known[key])] for key, name in TRAINING.items() if known.get(key)]
    if "seconds" in report:
        rows.append(["wall time, in seconds", f"{report['seconds']:,.0f}"])
    rows += [["processor", plain(report["processor"])]] if report.get("processor") else []
    rows += [[plain(name), plain(version)] for name, version in report.get("versions", {}).items()]
    return table(["setting", "value"], rows) if known else _missing(saved)


def _missing(saved: Saved, what: str = "") -> str:
    is_told_there = saved.quantization and saved.base
    return f"See the card of {code(saved.base)}." if is_told_there else f"Not documented: fill in{what}."


def _setting(value: Any) -> str:
    if isinstance(value, dict):  # of each task
        return ", ".join(f"{plain(name)} {_setting(each)}" for name, each in value.items())
    return plain(value) if not isinstance(value, (int, float)) else f"{value:{',' if isinstance(value, int) else 'g'}}"


def _audits(saved: Saved) -> str:
    if not saved.audits:
        return "Not measured; `tinygrad-llm audit --from FOLDER` measures it and writes it here."
    parts = [bullets(_facts(audit.get("summary", audit))) for audit in saved.audits.values()]
    names = [f"{code(name)}:\n\n" if name else "" for name in saved.audits]
    return "\n\n".join(name + part for name, part in zip(names, parts, strict=True))


def _facts(facts: dict[str, Any], name: str = "", depth: int = 0) -> Iterator[str]:
    """Of a JSON object a line for each object in it: the way to it, and its numbers and texts."""
    nested = {key: value for key, value in facts.items() if isinstance(value, dict) and not _is_interval(value)}
    leaves = [f"{plain(key)} {_leaf(value)}" for key, value in facts.items() if key not in nested]
    if name and leaves:
        yield f"**{name}**: {', '.join(leaves)}"
    elif leaves:
        yield from leaves
    for key, value in nested.items() if depth < 4 else ():
        yield from _facts(value, f"{name}, {plain(key)}" if name else plain(key), depth + 1)


def _is_interval(value: dict[str, Any]) -> bool:
    return all(isinstance(value.get(name), (int, float)) for name in ("value", "low", "high"))


def _leaf(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['value']:.3g} ({value['low']:.3g} to {value['high']:.3g})"
    if isinstance(value, list):
        return f"({len(value):,} in audit.json)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else plain(value)


def _energy(saved: Saved) -> str:
    energy = saved.report.get("energy")
    if not energy:
        return _missing(saved)
    kilowatt_hours, grams = (f"{energy[name]:.3g}" for name in ("kilowatt_hours", "grams_co2"))
    text = f"{kilowatt_hours} kWh and {grams} g of CO₂, by {plain(energy['method'])}: {plain(energy['assumption'])}."
    if "training_flops" in saved.report:
        text += f" The training steps took {saved.report['training_flops']:.3g} floating-point operations."
    return text + (" All tasks together." if saved.kind == "tasks" else "")
