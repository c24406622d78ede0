"""The command line: options, help, and what is said about mistakes in them."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import textwrap
import typing
from collections.abc import Sequence

from ..train.recipes import GROUPS, LAPTOP, PRESETS, PretrainConfig, did_you_mean
from .audit_options import audit_options, filter_options, filter_train_options, use_filter_option
from .chat_options import EXPAND, chat_options, finetune_chat_options
from .commands import COMMANDS, EXAMPLES, OPERANDS
from .finetune_options import PREDICTING, finetune_options, predict_options
from .look_options import look_options
from .prefer_options import prefer_options
from .scale_options import scale_options

KINDS = {  # of commands that have others below them, with options of their own
    "finetune": {"chat": finetune_chat_options, "prefer": prefer_options},
    "filter": {"train": filter_train_options},
}


class Parser(argparse.ArgumentParser):
    """Says one sentence about a mistake, without the whole usage before it."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, formatter_class=_help_format, **settings)

    def error(self, message: str) -> typing.NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _help_format(prog: str) -> argparse.HelpFormatter:
    width = min(shutil.get_terminal_size().columns, 100)
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=width)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments. Exits with code 2 and one sentence, which suggests the nearest name, for what it does not know."""
    if argv[1:2] and argv[1] in KINDS.get(argv[0], ()):
        return _parse_kind(*argv[:2], argv[2:])
    parser = Parser(
        prog="tinygrad-llm",
        description="A small, readable LLM framework: train GPTs on your CPU and look inside.",
        epilog="Start with:\n  tinygrad-llm pretrain\nEach command has its own help:\n  tinygrad-llm pretrain --help",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    parsers = {name: _command(commands, name, help) for name, help in COMMANDS.items()}
    _pretrain_options(parsers["pretrain"])
    scale_options(parsers["scale"], number, _field_option)
    _generate_options(parsers["generate"])
    _fill_mask_options(parsers["fill-mask"])
    look_options(parsers["look"], integer)
    _evaluate_options(parsers["evaluate"])
    audit_options(parsers["audit"], integer)
    filter_options(parsers["filter"])
    for name in ("generate", "chat"):
        use_filter_option(parsers[name])
    _quantize_options(parsers["quantize"])
    _tokenize_options(parsers["tokenize"])
    parsers["info"].add_argument("run", nargs="?", metavar="FOLDER", help="a run's folder")
    finetune_options(parsers["finetune"], integer, number)
    for name in PREDICTING:
        predict_options(parsers[name], name, integer, number)
    chat_options(parsers["chat"], integer, number)
    _school_options(parsers)
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        parser.error(f"there is no command {argv[0]!r}{did_you_mean(argv[0], COMMANDS)}")
    arguments, unknown = parser.parse_known_args(argv or ["--help"])
    if unknown:
        _refuse(parsers[arguments.command], unknown[0])
    return arguments


def _parse_kind(command: str, kind: str, argv: Sequence[str]) -> argparse.Namespace:
    """Of `finetune chat` and the like, whose options are other than those of the command above."""
    name = f"{command} {kind}"
    parser = Parser(prog=f"tinygrad-llm {name}", usage=f"tinygrad-llm {name} [options]")
    parser.add_argument("--debug", action="store_true", help="show where in the program an error arose")
    parser.set_defaults(command=name)
    KINDS[command][kind](parser, integer, number)
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        _refuse(parser, unknown[0])
    return arguments


def _refuse(parser: Parser, unknown: str) -> typing.NoReturn:
    option = unknown.partition("=")[0]
    if option.startswith("-"):
        parser.error(f"there is no option {option}{did_you_mean(option, parser._option_string_actions)}")
    parser.error(f"unexpected argument {unknown!r}")


def _command(commands, name: str, help: str) -> Parser:
    parser = commands.add_parser(
        name,
        help=help,
        usage=f"tinygrad-llm {name} [options]{OPERANDS.get(name, '')}",
        description=f"{help[0].upper()}{help[1:]}.",
        epilog="examples:\n" + textwrap.indent(textwrap.dedent(EXAMPLES[name]), "  "),
    )
    parser.add_argument("--debug", action="store_true", help="show where in the program an error arose")
    return parser


def _pretrain_options(parser: Parser) -> None:
    presets = "\n".join(f"  {name:<18}{description}" for name, (_, description) in PRESETS.items())
    parser.epilog = f"presets:\n{presets}\n\n{parser.epilog}"
    parser.add_argument("--preset", metavar="NAME", help="settings to start from (default: laptop), see below")
    parser.add_argument("--out", metavar="FOLDER", help="where the run is kept (default: runs/PRESET-NUMBER)")
    parser.add_argument("--resume", metavar="FOLDER", help="go on with this run where its last checkpoint stands")
    parser.add_argument("--detect-anomaly", action="store_true", help="find the op that makes a NaN; slow")
    types = typing.get_type_hints(PretrainConfig)
    titles = dict(zip(GROUPS, ("the text", "the model", "training", "what is shown and saved"), strict=True))
    groups = {name: parser.add_argument_group(f"{title} (defaults of laptop)") for name, title in titles.items()}
    for field in dataclasses.fields(PretrainConfig):
        _field_option(groups[field.metadata["group"]], field, types[field.name])


def _field_option(group, field: dataclasses.Field, kind: typing.Any, defaults: PretrainConfig = LAPTOP) -> None:
    """The option of one field of the config; it is in the namespace only where it was given."""
    option = "--" + field.name.replace("_", "-")
    default = getattr(defaults, field.name)
    help = field.metadata["help"] + (f" ({default:g})" if kind is float else f" ({default})" if default != () else "")
    settings = {"dest": f"field_{field.name}", "default": argparse.SUPPRESS, "help": help}
    if kind is bool:
        group.add_argument(option, action=argparse.BooleanOptionalAction, **settings)
    elif field.name == "corpus":
        group.add_argument(option, nargs="+", metavar="FILE", **settings)
    else:
        metavar = {int: "N", float: "X", str: "NAME"}[kind]
        group.add_argument(option, type={int: integer, float: number, str: str}[kind], metavar=metavar, **settings)


def config_fields(arguments: argparse.Namespace) -> dict[str, typing.Any]:
    """The fields of the config that were given on the command line."""
    given = vars(arguments).items()
    return {name.removeprefix("field_"): value for name, value in given if name.startswith("field_")}


def _generate_options(parser: Parser) -> None:
    _run_option(parser)
    parser.add_argument("--prompt", default="", metavar="TEXT", help="what the text begins with (default: nothing)")
    parser.add_argument("--max-new-tokens", type=integer, default=200, metavar="N", help="length (default: 200)")
    help = "0: always the likeliest token; below 1 safer, above 1 wilder (default: 0.8)"
    parser.add_argument("--temperature", type=number, metavar="X", help=help)
    parser.add_argument("--top-k", type=integer, metavar="N", help="choose among the N likeliest tokens only")
    help = "choose among the likeliest tokens that together have probability X"
    parser.add_argument("--top-p", type=number, metavar="X", help=help)
    help = "choose among tokens with at least X times the probability of the likeliest"
    parser.add_argument("--min-p", type=number, metavar="X", help=help)
    help = "above 1: fewer repetitions (default: 1)"
    parser.add_argument("--repetition-penalty", type=number, default=1.0, metavar="X", help=help)
    help = "search the likeliest text with N beams, instead of drawing tokens; shown when it is found"
    parser.add_argument("--beams", type=integer, metavar="N", help=help)
    help = "with --beams: above 1 favours long texts, below 1 short ones (default: 1)"
    parser.add_argument("--length-penalty", type=number, metavar="X", help=help)
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end before this text; repeatable")
    parser.add_argument("--n-samples", type=integer, default=1, metavar="N", help="how many texts (default: 1)")
    help = "the same seed gives the same text (default: another text each time)"
    parser.add_argument("--seed", type=integer, metavar="N", help=help)


def _fill_mask_options(parser: Parser) -> None:
    parser.add_argument("text", metavar="TEXT", help="with [MASK] where a word is to be guessed")
    help = "the folder of a run, or of a BERT in Hugging Face's layout"
    parser.add_argument("--from", dest="source", required=True, metavar="FOLDER", help=help)
    parser.add_argument("--top-k", type=integer, default=5, metavar="N", help="guesses for each blank (default: 5)")
    parser.add_argument("--json", action="store_true", help="print the guesses as JSON")


def _evaluate_options(parser: Parser) -> None:
    _run_option(parser)
    help = "other text than the run's validation part: files or folders; needed with --from"
    parser.add_argument("--corpus", nargs="+", metavar="FILE", help=help)
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="of the files (default: utf-8)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")


def _quantize_options(parser: Parser) -> None:
    help = "the folder of a run, of a fine-tuned model, or of a model in Hugging Face's layout"
    parser.add_argument("--from", dest="source", required=True, metavar="FOLDER", help=help)
    help = "the new folder; of a run with int8 it is one for --run, otherwise in Hugging Face's layout"
    parser.add_argument("--out", required=True, metavar="FOLDER", help=help)
    help = "int8 (a quarter, default), or float16, bfloat16 (half, for other programs; float32 again when opened)"
    parser.add_argument("--dtype", choices=("int8", "float16", "bfloat16"), default="int8", help=help)
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")


def _tokenize_options(parser: Parser) -> None:
    parser.add_argument("text", nargs="?", help="the text to show as tokens (default: standard input)")
    parser.add_argument(
        "--from", dest="source", metavar="PATH", help="a tokenizer.json or vocab.txt, or the folder of a run or model"
    )
    training = parser.add_argument_group("train a new one")
    training.add_argument("--train", action="store_true", help="train a tokenizer instead of using one")
    training.add_argument("--out", metavar="FILE", help="where to save it")
    training.add_argument(
        "--corpus", nargs="+", default=[], metavar="FILE", help="text (default: Python's own documentation)"
    )
    training.add_argument("--encoding", default="utf-8", metavar="NAME", help="of the files (default: utf-8)")
    training.add_argument("--tokenizer", default="bpe", metavar="NAME", help="bpe, char or wordpiece (default: bpe)")
    training.add_argument("--vocab-size", type=integer, default=2048, metavar="N", help="not for char (default: 2048)")


def _school_options(parsers: dict[str, Parser]) -> None:
    for name in ("lesson", "check", "debug", "notebook"):
        nargs = "?" if name == "check" else None
        parsers[name].add_argument("lesson", nargs=nargs, metavar="LESSON", help="its number or name, such as 05")
    parsers["lesson"].add_argument("--pause", action="store_true", help="wait for Enter after each piece of prose")
    parsers["check"].add_argument("--hint", action="store_true", help="do not wait for the second failure with a hint")
    parsers["check"].add_argument("--file", metavar="FILE", help="your answers (default: lessons/exercises/NN_name.py)")
    parsers["notebook"].add_argument(
        "--out", metavar="FILE", help="where to write it (default: notebooks/NN_name.ipynb)"
    )
    parsers["notebook"].add_argument("--no-open", action="store_true", help="write it only")


def _run_option(parser: Parser) -> None:
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--run", metavar="FOLDER", help="the folder that pretrain made")
    help = "any other model that writes: what finetune chat made, a folder in Hugging Face's layout, a GGUF file"
    model.add_argument("--from", dest="source", metavar="PATH", help=help)
    help = "of a run: best (lowest validation loss, the default) or last"
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best", help=help)
    parser.add_argument("--expand", action="store_true", help=EXPAND)


def integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an integer, not {text!r}") from None


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None
