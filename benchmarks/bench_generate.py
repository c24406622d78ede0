"""Tokens per second of `generate` with its KV cache, and of `beam_search`, against the same weights in
transformers' `generate`.

    python benchmarks/bench_generate.py            # needs the extra `compare`: torch, transformers
    python benchmarks/bench_generate.py --quick

Each call reads a prompt and adds new tokens, so a figure holds both. Before anything is timed, the two must make the
same text where nothing is drawn. Weights are random: neither the time nor the comparison depends on what a model has
learned.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from interleave import Side, medians
from report import Row, command_line

from tinygrad_llm.generate import beam_search, generate
from tinygrad_llm.models.gpt import GPT, GPTConfig

# name: (context, layers, heads, d_model, vocabulary)
MODELS = {
    "small": (512, 6, 6, 384, 4096),
    "GPT-2's vocabulary": (512, 6, 6, 384, 50257),
    "GPT-2 small": (512, 12, 12, 768, 50257),
}
# name: settings of our generate, or of beam_search; a temperature of 0 is greedy
SETTINGS = {
    "greedy": {"temperature": 0},
    "top-k 50": {"temperature": 0.8, "top_k": 50},
    "4 beams": {"num_beams": 4},
}
BATCH_SIZES = (1, 16)
PROMPT, NEW = 32, 64  # tokens
REACHES = {"greedy": 3.0, "top-k 50": 3.0, "4 beams": None}
ROUNDS, CALLS = 2, 2


def rows(quick: bool = False) -> list[Row]:
    """About 5 minutes."""
    models = ["small"] if quick else list(MODELS)
    found = []
    with Side(__file__, "ours") as ours, Side(__file__, "transformers") as peer:
        for name in models:
            for batch_size in BATCH_SIZES:
                for setting in SETTINGS if name == "small" and not quick else ["greedy"]:
                    if setting == "4 beams" and batch_size > 1:
                        continue
                    compare_texts(name, batch_size, setting)
                    case = [name, batch_size, setting]
                    seconds = medians([ours, peer], case, *((1, 1) if quick else (ROUNDS, CALLS)))
                    speeds = [batch_size * NEW / seconds[side] for side in ("ours", "transformers")]
                    what = f"{label(name)}: {setting}, batch {batch_size}"
                    found.append(Row("generate", what, "transformers", *speeds, "tokens/s", "higher", REACHES[setting]))
    return found


def label(name: str) -> str:
    _, n_layers, n_heads, d_model, vocab_size = MODELS[name]
    return f"{name}, L{n_layers} H{n_heads} C{d_model} V{vocab_size}"


def make(side: str, case: list):
    """`NEW` tokens after a prompt of `PROMPT`: what a side's process measures."""
    name, batch_size, setting = case
    prompt = prompts(name, batch_size)
    run = our_generate(name, setting) if side == "ours" else their_generate(name, setting)
    return lambda: run(prompt)


def prompts(name: str, batch_size: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, MODELS[name][-1], (batch_size, PROMPT))


@cache
def build(name: str) -> GPT:
    """Weights large enough that the likeliest token is so by far, whatever the rounding."""
    max_seq_len, n_layers, n_heads, d_model, vocab_size = MODELS[name]
    config = GPTConfig(vocab_size, max_seq_len, n_layers, n_heads, d_model, dropout=0.0)
    model = GPT(config, np.random.default_rng(0)).eval()
    for block in model.blocks:
        for layer in (block.attention.qkv, block.attention.out, block.feed_forward.up, block.feed_forward.down):
            layer.weight.data *= 5
    return model


def our_generate(name: str, setting: str):
    model = build(name)
    if setting == "4 beams":
        return lambda prompt: beam_search(model, prompt, NEW, **SETTINGS[setting]).sequences
    return lambda prompt: generate(model, prompt, NEW, rng=np.random.default_rng(2), **SETTINGS[setting])


@cache
def twin(name: str):
    """The same weights in transformers, whose Conv1D has (in, out) where our Linear has (out, in)."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    ours, config = build(name).state_dict(), build(name).config
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.max_seq_len,
            n_embd=config.d_model,
            n_layer=config.n_layers,
            n_head=config.n_heads,
            layer_norm_epsilon=config.layer_norm_eps,
            bos_token_id=None,
            eos_token_id=None,  # no text ends early
        )
    ).eval()
    theirs = {f"transformer.{their_name(each)}": torch.from_numpy(array) for each, array in ours.items()}
    theirs = {each: array.T if ".h." in each and array.ndim == 2 else array for each, array in theirs.items()}
    model.load_state_dict(theirs | {"lm_head.weight": theirs["transformer.wte.weight"]})
    return model


THEIR_NAMES = {
    "blocks.": "h.", "norm1": "ln_1", "norm2": "ln_2", "attention.qkv": "attn.c_attn", "attention.out": "attn.c_proj",
    "feed_forward.up": "mlp.c_fc", "feed_forward.down": "mlp.c_proj", "token_embedding": "wte",
    "position_embedding": "wpe",
}  # fmt: skip


def their_name(name: str) -> str:
    for ours, theirs in THEIR_NAMES.items():
        name = name.replace(ours, theirs)
    return name.replace("norm.", "ln_f.")


def their_generate(name: str, setting: str):
    import torch

    model = twin(name)
    sampling = {
        "greedy": {"do_sample": False},
        "top-k 50": {"do_sample": True, **SETTINGS["top-k 50"]},
        "4 beams": {"do_sample": False, **SETTINGS["4 beams"]},
    }[setting]

    def run(prompt: np.ndarray) -> np.ndarray:
        torch.manual_seed(2)
        ids = torch.from_numpy(prompt)
        with torch.inference_mode():
            return model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, pad_token_id=0, **sampling
            ).numpy()

    return run


def compare_texts(name: str, batch_size: int, setting: str) -> None:
    """Raise AssertionError unless both make the same text of random prompts, where nothing is drawn."""
    if setting != "top-k 50":
        prompt = prompts(name, batch_size)
        ours, theirs = our_generate(name, setting)(prompt), their_generate(name, setting)(prompt)
        np.testing.assert_array_equal(ours, theirs, err_msg=f"{name}: texts differ with {setting}")


if __name__ == "__main__":
    command_line(__doc__, rows, make)
