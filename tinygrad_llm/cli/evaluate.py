"""`tinygrad-llm evaluate`: how well a model predicts a text, beside what zlib and lzma make of the same text."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..data import (
    CompressionBaseline,
    clean,
    compression_bits_per_byte,
    join_documents,
    open_tokens,
    read_files,
    read_token_header,
    write_tokens,
)
from ..train import Evaluation, PretrainConfig, Run, open_run
from ..train import evaluate as evaluate_tokens


def evaluate(arguments: argparse.Namespace) -> int:
    run = open_run(arguments.run)
    model, checkpoint = run.load_model(arguments.checkpoint)
    if arguments.corpus:
        evaluation, baselines = _evaluate_files(run.config, run.tokenizer, model, arguments)
    else:
        evaluation = evaluate_file(run.config, model, run.folder / "val.tokens")
        baselines = run.baselines
    result = {
        "loss": evaluation.loss,
        "perplexity": evaluation.perplexity,
        "bits_per_byte": evaluation.bits_per_byte,
        "zlib_bits_per_byte": baselines.zlib_bits_per_byte,
        "lzma_bits_per_byte": baselines.lzma_bits_per_byte,
        "tokens": evaluation.n_targets,
        "step": checkpoint.step,
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        Console(highlight=False).print(_table(run, result))
    return 0


def evaluate_file(config: PretrainConfig, model, path: Path, max_tokens: int | None = None) -> Evaluation:
    """The model on a token file, or on its first `max_tokens`."""
    header = read_token_header(path)
    tokens = open_tokens(path)
    return evaluate_tokens(model, tokens, header.text_bytes, config.batch_size, config.max_seq_len, max_tokens)


def _evaluate_files(config: PretrainConfig, tokenizer, model, arguments) -> tuple[Evaluation, CompressionBaseline]:
    documents, _ = clean(read_files(arguments.corpus, arguments.encoding))
    baselines = compression_bits_per_byte("", join_documents(documents))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "corpus.tokens")
        write_tokens(path, documents, tokenizer)
        return evaluate_file(config, model, path), baselines


def _table(run: Run, result: dict[str, Any]) -> Table:
    table = Table("measure", "value", title=f"{run.folder}, step {result['step']:,}")
    table.columns[1].justify = "right"
    table.add_row("loss (nats per token)", f"{result['loss']:.4f}")
    table.add_row("perplexity", f"{result['perplexity']:,.2f}")
    table.add_row("bits per byte", f"{result['bits_per_byte']:.3f}")
    table.add_row("zlib's bits per byte", f"{result['zlib_bits_per_byte']:.3f}")
    table.add_row("lzma's bits per byte", f"{result['lzma_bits_per_byte']:.3f}")
    table.add_row("tokens predicted", f"{result['tokens']:,}")
    return table
