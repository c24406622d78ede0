"""The page of `tinygrad-llm look`: one HTML file that needs no other, and lets nothing else in.

look_page.html, its style and its scripts are put together with what was seen, as JSON. No text can break out of that:
every "<" is written as a number. And were one to, the page's content security policy runs no script but ours, known by
its hash.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from ..applications import Look

SCRIPTS = ("look_page.js", "look_page_maps.js", "look_page_lens.js")  # in the page they are one
_SLOT = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class PageFacts:
    """What the page says besides what was seen."""

    title: str
    model: str  # its kind and shape
    text: str  # the prompt and what follows, as one text
    layer: int  # shown first
    head: int | None  # None: the mean of all


def look_page(seen: Look, names: dict[int, str], facts: PageFacts) -> str:
    """The page; `names` has the texts of all tokens in it."""
    script, style = "\n".join(map(_part, SCRIPTS)), _part("look_page.css")
    fill = {
        "title": html.escape(facts.title),
        "hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "style": style,
        "script": script,
        "data": _harmless(page_data(seen, names, facts)),
    }
    return _SLOT.sub(lambda slot: fill[slot[1]], _part("look_page.html"))


def page_data(seen: Look, names: dict[int, str], facts: PageFacts) -> dict:
    """What look_page.js reads. Tokens are numbers in `vocabulary`, which has a text and an id for each."""
    ids = list(names)
    number = np.zeros(max(ids) + 1, np.int64)
    number[ids] = np.arange(len(ids))
    lens, (n_layers, n_heads) = seen.lens, seen.attention.shape[:2]
    return {
        "model": facts.model,
        "text": facts.text,
        "layer": facts.layer,
        "head": -1 if facts.head is None else facts.head,
        "n_layers": n_layers,
        "n_heads": n_heads,
        "n_prompt": seen.n_prompt,
        "shift": seen.shift,
        "vocabulary": [[names[token], token] for token in ids],
        "tokens": number[seen.ids].tolist(),
        "probabilities": [None if p != p else round(p, 5) for p in seen.probabilities.tolist()],
        "ranks": seen.ranks.tolist(),
        "settled": lens.settled().tolist(),
        "lens": number[lens.tokens].tolist(),
        "lens_probabilities": _rounded(lens.probabilities, 5),
        "entropy": _rounded(lens.entropy, 3),
        "divergence": _rounded(lens.divergence, 3),
        "attention": base64.b64encode(attention_bytes(seen)).decode(),
    }


def attention_bytes(seen: Look) -> bytes:
    """Each weight as a byte, 255 for 1. Where nothing looks ahead, only the triangle (T (T + 1) / 2) of each map."""
    weights = np.round(seen.attention * 255).astype(np.uint8)  # (L, H, T, T)
    T = weights.shape[-1]
    seen_places = np.tri(T, dtype=bool) if seen.shift else np.ones((T, T), bool)
    return weights[:, :, seen_places].tobytes()


def _rounded(values: np.ndarray, digits: int) -> list:
    return np.round(values.astype(np.float64), digits).tolist()


def _harmless(data: dict) -> str:
    """JSON in ASCII, in which no tag can begin or end."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
