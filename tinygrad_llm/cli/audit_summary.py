"""The outcome of an audit in a sentence for each measurement: the beginning of audit.json, and for a model's card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

SURE = 0.05  # of p (Holm)


def summary(audit: Mapping[str, Any]) -> dict[str, str]:
    """Of the measurements in an audit.json, those that were made."""
    found = {}
    for kind, tests in audit.get("associations", {}).items():
        found[f"word associations, {kind}"] = _tests(tests, "effect", "d")
    if "preferences" in audit:
        found["paired sentences"] = _tests(audit["preferences"], "share", "share")
    if "extraction" in audit:
        found["extraction"] = _extraction(audit["extraction"])
    if "exposure" in audit:
        levels = (f"{level['mean']:.1f} bits at {name}" for name, level in audit["exposure"].items())
        most = math.log2(next(iter(audit["exposure"].values()))["candidates"])
        found["exposure of canaries"] = f"{', '.join(levels)}; {most:.1f} is the most that can be seen"
    if "calibration" in audit:
        n_tokens = audit["calibration"]["tokens"]
        found["calibration"] = f"expected error {_interval(audit['calibration']['error'])} on {n_tokens:,} tokens"
    if "samples flagged" in audit:
        share = audit["samples flagged"]["any"]
        found["samples flagged"] = f"{_percent(share)} of {share['n']:,} texts written without a prompt"
    return found | {f"{name}, not measured": reason for name, reason in audit["not measured"].items()}


def _tests(tests: Mapping[str, Any], what: str, symbol: str) -> str:
    """How many are sure, and the surest; the control for itself, since without it the others mean little."""
    asked = {name: test for name, test in tests.items() if not test["control"]}
    sure = [name for name, test in asked.items() if test["p (Holm)"] < SURE]
    parts = [f"{len(sure)} of {len(asked)} tests with p (Holm) below {SURE}"] if asked else []
    parts += [f"{name}: {symbol} {_interval(asked[name][what])}" for name in sure]
    parts += [f"control {name}: {symbol} {_interval(t[what])}" for name, t in tests.items() if t["control"]]
    return "; ".join(parts)


def _extraction(texts: Mapping[str, Any]) -> str:
    parts = []
    for name, lengths in texts.items():
        longest = list(lengths)[-1]
        parts.append(f"{_percent(lengths[longest]['exact'])} of the {name} after prompts of {longest}")
    return "; ".join(parts)


def _interval(interval: Mapping[str, float]) -> str:
    return f"{interval['value']:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"


def _percent(share: Mapping[str, float]) -> str:
    return f"{share['value']:.1%} ({share['low']:.1%} to {share['high']:.1%})"
