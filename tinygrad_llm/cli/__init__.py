"""The command `tinygrad-llm`: train and use models, and go to school. Try `tinygrad-llm --help`."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence

from .distributed import quiet_other_ranks, require_one_process
from .errors import explain
from .interrupt import ended_by_sigterm
from .parser import parse

INTERRUPTED = 130  # 128 + SIGINT, what a shell expects


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for bad input (one sentence on stderr), 130 for Ctrl-C."""
    quiet_other_ranks()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character shows "?" rather than an error
    arguments = parse(sys.argv[1:] if argv is None else list(argv))
    try:
        require_one_process(arguments.command)
        with ended_by_sigterm():
            return _run(arguments)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left, as in `tinygrad-llm info | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        if arguments.debug:
            traceback.print_exc()
        print(f"tinygrad-llm {arguments.command}: {sentence}", file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace) -> int:
    """Each command's module is imported when it is called for, so that --help and mistakes need not wait."""
    match arguments.command:
        case "pretrain":
            from .pretrain import pretrain as command
        case "scale":
            from .scale import scale as command
        case "generate":
            from .generate import generate as command
        case "fill-mask":
            from .fill_mask import fill_mask as command
        case "look":
            from .look import look as command
        case "evaluate":
            from .evaluate import evaluate as command
        case "audit":
            from .audit import audit as command
        case "filter":
            from .filter import filter_texts as command
        case "filter train":
            from .filter import filter_train as command
        case "finetune":
            from .finetune import finetune as command
        case "finetune chat":
            from .finetune_chat import finetune_chat as command
        case "finetune prefer":
            from .finetune_prefer import finetune_prefer as command
        case "classify" | "grade" | "answer":
            from .predict import predict as command
        case "translate":
            from .translate import translate as command
        case "embed" | "search":
            from . import predict

            command = getattr(predict, arguments.command)
        case "chat":
            from .chat import chat as command
        case "quantize":
            from .quantize import quantize as command
        case "tokenize":
            from .tokenize import tokenize as command
        case "info":
            from .info import info as command
        case "lessons" | "lesson" | "check" | "debug" | "notebook":
            from . import school

            command = getattr(school, arguments.command)
    return command(arguments)
