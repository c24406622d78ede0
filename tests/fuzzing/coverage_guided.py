"""The same targets under atheris, which keeps the inputs that reach new lines of the package and changes those further.

It is optional, and not built for every Python: pip install -e '.[fuzz]'.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from .harness import Harness
from .target import Target


def instrument() -> None:
    """Before the package is imported anywhere."""
    import atheris

    for name in [name for name in sys.modules if name.partition(".")[0] == "tinygrad_llm"]:
        del sys.modules[name]  # the harness imported a part of it
    with atheris.instrument_imports(include=["tinygrad_llm"], enable_loader_override=False):
        from . import registry  # noqa: F401


def fuzz(target: Target, harness: Harness, seconds: float, seed: int, report: Path) -> None:
    """So long; then the report is written and the process ends, as libFuzzer does not come back by itself."""
    import atheris

    from .run import write_report

    until, random = time.monotonic() + seconds, Random(seed)

    def one_input(raw: bytes) -> None:
        harness.run(raw)
        if time.monotonic() > until:
            write_report(harness.tally, report)
            os._exit(0)

    def mutate(raw: bytes, max_size: int, mutation_seed: int) -> bytes:
        random.seed(mutation_seed)
        if random.random() < 0.4:
            return atheris.Mutate(raw, max_size)
        try:
            return target.spoil([raw or target.seeds[0]], random)[:max_size]
        except (ValueError, RecursionError, IndexError):  # it is no JSON any more
            return target.spoil(target.seeds, random)[:max_size]

    with tempfile.TemporaryDirectory() as corpus:
        for number, each in enumerate(target.seeds):
            (Path(corpus) / str(number)).write_bytes(each)
        options = [f"-seed={seed + 1}", "-timeout=0", "-rss_limit_mb=0", "-max_len=100000", "-print_final_stats=0"]
        atheris.Setup([sys.argv[0], corpus, *options], one_input, custom_mutator=mutate)
        atheris.Fuzz()
