"""Options of `tinygrad-llm finetune chat` and of `tinygrad-llm chat`."""

from __future__ import annotations

import argparse

from ..text.chat import TEMPLATES
from ..train.finetune import FineTuneConfig
from .finetune_options import lora_options, training_options

# The rate is for models of some millions of parameters; those of a hundred take a tenth of it.
CHAT = FineTuneConfig(epochs=3.0, batch_size=8, learning_rate=1e-3, layer_decay=1.0)
CHAT_HELP = {
    "batch_size": "rows in a batch",
    "learning_rate": "at its highest; for models of some millions of parameters, larger ones need less",
    "frozen_blocks": "so many blocks, and the embeddings, stay as they are",
    "seed": "of the order of examples and dropout",
}
EXPAND = "of a GGUF file: make float32 of its weights, instead of multiplying by the few bits that they have"
EXAMPLES = """\
examples:
  tinygrad-llm finetune chat --from runs/laptop-1 --embedded instructions --out runs/chat
  tinygrad-llm finetune chat --from runs/laptop-1 --data conversations.jsonl

In conversations.jsonl, on each line: {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", …}]}
or {"instruction": "…", "input": "…", "output": "…"}"""


def finetune_chat_options(parser: argparse.ArgumentParser, integer, number) -> None:
    parser.epilog = EXAMPLES
    help = "what to begin with: a run's folder, or a GPT's or a Llama's in Hugging Face's layout"
    parser.add_argument("--from", dest="base", required=True, metavar="FOLDER", help=help)
    help = "conversations: .jsonl files with messages, or with Alpaca's instruction, input and output"
    parser.add_argument("--data", nargs="+", metavar="FILE", help=help)
    help = "Python's own: instructions, questions about its standard library"
    parser.add_argument("--embedded", metavar="NAME", help=help)
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="of the files (default: utf-8)")
    help = f"the frame around messages: {', '.join(TEMPLATES)} (default: the base's own, or chatml)"
    parser.add_argument("--template", metavar="NAME", help=help)
    parser.add_argument("--max-examples", type=integer, metavar="N", help="use only so many, drawn by the seed")
    help = "tokens in a row, which holds several conversations (default: the model's context)"
    parser.add_argument("--row-length", type=integer, metavar="N", help=help)
    help = "so many questions of the test part are answered before and after (default: 400)"
    parser.add_argument("--test-answers", type=integer, default=400, metavar="N", help=help)
    parser.add_argument("--out", metavar="FOLDER", help="where the model and its report go (default: runs/chat)")
    lora_options(parser, integer, number)
    training_options(parser, integer, number, CHAT, CHAT_HELP)


def chat_options(parser: argparse.ArgumentParser, integer, number) -> None:
    help = "the folder that finetune chat made, or of a chat model in Hugging Face's layout, or a GGUF file"
    parser.add_argument("--from", dest="source", required=True, metavar="FOLDER", help=help)
    parser.add_argument("--expand", action="store_true", help=EXPAND)
    parser.add_argument("--system", metavar="TEXT", help="what the model is told before the conversation")
    help = "where the folder's template is not known here: the name of the one that it equals"
    parser.add_argument("--template", metavar="NAME", help=help)
    parser.add_argument("--max-new-tokens", type=integer, default=200, metavar="N", help="of an answer (default: 200)")
    help = "0: always the likeliest token; below 1 safer, above 1 wilder (default: 0)"
    parser.add_argument("--temperature", type=number, default=0.0, metavar="X", help=help)
    help = "choose among the likeliest tokens that together have probability X"
    parser.add_argument("--top-p", type=number, metavar="X", help=help)
    help = "above 1: fewer repetitions (default: 1)"
    parser.add_argument("--repetition-penalty", type=number, default=1.0, metavar="X", help=help)
    help = "the same seed gives the same answers (default: others each time)"
    parser.add_argument("--seed", type=integer, metavar="N", help=help)
