"""Make generate.npz and generate.json: what transformers 5.24 generates, for tests/test_generate_golden.py.

Run `python tests/golden/make_generate_golden.py` with the extra `compare` installed. The model is a GPT-2 with random
weights, large enough that what is likely is clearly so; generate.npz holds them under our names. generate.json holds
cases: arguments, token ids, and scores where the result has them; and what logits become before a token is drawn.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.generation import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

FOLDER = Path(__file__).parent
VOCAB_SIZE, CONTEXT, C = 23, 32, 16
PAD, STOPS = 19, [5, 11]  # a pad id that the model knows too: attention must not look at it
PROMPTS = [[3, 1, 4, 1, 5, 9, 2], [6, 5], [8, 7, 2, 20], [13]]
OUR_NAMES = {
    "transformer.": "", "wte": "token_embedding", "wpe": "position_embedding", "ln_f": "norm", "h.": "blocks.",
    "ln_1": "norm1", "ln_2": "norm2", "attn.c_attn": "attention.qkv", "attn.c_proj": "attention.out",
    "mlp.c_fc": "feed_forward.up", "mlp.c_proj": "feed_forward.down",
}  # fmt: skip


def build() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCAB_SIZE, n_positions=CONTEXT, n_embd=C, n_layer=2, n_head=2, bos_token_id=None, eos_token_id=None
    )
    model = GPT2LMHeadModel(config).eval()
    for name, parameter in model.named_parameters():
        parameter.data += (0.5 if parameter.ndim == 2 else 0.2) * torch.randn_like(parameter)
        if "wte" in name:
            parameter.data *= 0.8
    return model


def our_weights(model: GPT2LMHeadModel) -> dict[str, np.ndarray]:
    found = {}
    for name, value in model.state_dict().items():
        if name != "lm_head.weight":
            linear = ".h." in name and value.ndim == 2  # Conv1D has (in, out)
            for theirs, ours in OUR_NAMES.items():
                name = name.replace(theirs, ours)
            found[name] = (value.T if linear else value).numpy().copy()
    return found


def left_padded(prompts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, prompts))
    ids = [[PAD] * (longest - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids), torch.tensor(mask)


def run(model: GPT2LMHeadModel, prompts: list[list[int]], stops: list[int], **settings) -> dict:
    ids, mask = left_padded(prompts)
    with torch.inference_mode():
        out = model.generate(
            ids, attention_mask=mask, do_sample=False, pad_token_id=PAD, eos_token_id=stops or None,
            return_dict_in_generate=True, output_scores=True, output_logits=True, **settings,
        )  # fmt: skip
    case = {"prompts": prompts, "stop_tokens": stops, **settings, "sequences": out.sequences.tolist()}
    if "num_beams" in settings:
        return case | {"sequences_scores": out.sequences_scores.tolist()}
    logits = torch.stack(out.logits, dim=1)  # (B, n, V)
    new = out.sequences[:, ids.shape[1] :]
    return case | {"log_probs": logits.log_softmax(-1).gather(-1, new[:, :, None])[:, :, 0].tolist()}


def greedy_cases(model) -> list[dict]:
    cases = []
    for prompts in ([PROMPTS[0]], PROMPTS):
        for stops in ([], STOPS):
            cases += [
                run(model, prompts, stops, max_new_tokens=20, repetition_penalty=penalty) for penalty in (1.0, 1.3, 0.8)
            ]
    return cases


def beam_cases(model) -> list[dict]:
    cases = []
    for prompts, stops, length_penalty, early_stopping in product(
        ([PROMPTS[0]], PROMPTS), ([], STOPS[:1], STOPS), (1.0, 0.0, 2.0, -1.0), (False, True, "never")
    ):
        settings = {"length_penalty": length_penalty, "early_stopping": early_stopping}
        if stops or not early_stopping:
            cases.append(run(model, prompts, stops, max_new_tokens=12, num_beams=4, num_return_sequences=3, **settings))
    for early_stopping in (False, True, "never"):  # each ends elsewhere
        settings = {"length_penalty": 2.0, "early_stopping": early_stopping}
        cases.append(run(model, PROMPTS, [3, 6, 12, 22], max_new_tokens=12, num_beams=3, **settings))
        cases.append(run(model, PROMPTS, [3, 20], max_new_tokens=12, num_beams=2, num_return_sequences=2, **settings))
    cases.append(run(model, PROMPTS, STOPS, max_new_tokens=12, num_beams=7))
    for prompts in ([PROMPTS[0]], PROMPTS):
        cases.append(run(model, prompts, STOPS, max_new_tokens=12, num_beams=3, repetition_penalty=1.4))
    return cases


def sampling_cases() -> list[dict]:
    logits = 2 * torch.randn(3, VOCAB_SIZE, generator=torch.Generator().manual_seed(1))
    cases = []
    for settings in (
        {"temperature": 0.7}, {"top_k": 4}, {"top_p": 0.7}, {"min_p": 0.1}, {"min_p": 1.0},
        {"temperature": 1.5, "top_k": 9, "top_p": 0.8, "min_p": 0.15},
    ):  # fmt: skip
        warpers = LogitsProcessorList()
        for name, warper in (
            ("temperature", TemperatureLogitsWarper), ("top_k", TopKLogitsWarper), ("top_p", TopPLogitsWarper),
            ("min_p", MinPLogitsWarper),
        ):  # fmt: skip
            if name in settings:
                warpers.append(warper(settings[name]))
        probabilities = warpers(torch.zeros(3, 1, dtype=torch.long), logits.clone()).softmax(-1)
        cases.append({"settings": settings, "logits": logits.tolist(), "probabilities": probabilities.tolist()})
    return cases


def rounded(value):
    """Seven digits are more than float32 has right."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


def main() -> None:
    model = build()
    np.savez_compressed(FOLDER / "generate.npz", **our_weights(model))
    cases = {"greedy": greedy_cases(model), "beams": beam_cases(model), "sampling": sampling_cases()}
    config = {"vocab_size": VOCAB_SIZE, "max_seq_len": CONTEXT, "n_layers": 2, "n_heads": 2, "d_model": C}
    found = {"config": config, "pad_token_id": PAD, **rounded(cases)}
    lines = ",\n".join(
        f'"{key}": [\n' + ",\n".join(json.dumps(case) for case in value) + "\n]"
        if isinstance(value, list)
        else f'"{key}": {json.dumps(value)}'
        for key, value in found.items()
    )
    (FOLDER / "generate.json").write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
