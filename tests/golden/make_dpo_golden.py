"""Make dpo.npz: the loss of Rafailov et al. (2023), equation 7, and its gradients, in PyTorch and float64.

Run `python tests/golden/make_dpo_golden.py` with the extra `compare` installed. The formulas are written out here as
they are published: TRL calls this loss "sigmoid". With label smoothing it is cDPO (Mitchell 2023).

For gpt2 and llama in lessons/pretrained/, `<model>/…`: ids and loss_mask of chosen and rejected answers (4 of each, of
several lengths, padded with 0), log_probs under the model and reference under one that is a little off, and for each
label smoothing loss/<e>, rewards, and grad/<e>/<parameter> of some parameters.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from transformers import GPT2LMHeadModel, LlamaForCausalLM

FOLDERS = Path(__file__).parents[2] / "lessons" / "pretrained"
BETA, SMOOTHING, T = 0.3, (0.0, 0.1), 14
N_PROMPT, N_ANSWERS = (5, 3, 6, 4), ((4, 7), (9, 2), (1, 1), (5, 8))  # tokens of each prompt and of its two answers
GRADIENTS = {
    "gpt2": ("transformer.wte.weight", "transformer.h.1.attn.c_attn.weight", "transformer.h.0.ln_1.bias"),
    "llama": ("model.embed_tokens.weight", "lm_head.weight", "model.layers.0.self_attn.k_proj.weight"),
}


def rows(vocab_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and loss_mask (2B, T): chosen answers, then rejected ones to the same prompts."""
    ids, mask = torch.zeros(8, T, dtype=torch.long), torch.zeros(8, T, dtype=torch.long)
    for i, (n, lengths) in enumerate(zip(N_PROMPT, N_ANSWERS, strict=True)):
        prompt = torch.randint(5, vocab_size, (n,))
        for row, length in ((i, lengths[0]), (i + 4, lengths[1])):
            ids[row, :n], ids[row, n : n + length] = prompt, torch.randint(5, vocab_size, (length,))
            mask[row, n : n + length] = 1
    return ids, mask


def log_probs(model, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Σ over the answer's tokens of log p(token | what stands before it), (2B,)."""
    of_all = F.log_softmax(model(ids).logits[:, :-1], dim=-1)
    of_each = of_all.gather(2, ids[:, 1:, None]).squeeze(2)
    return (of_each * mask[:, 1:]).sum(1)


def make(name: str, cls) -> dict[str, np.ndarray]:
    model = cls.from_pretrained(FOLDERS / name, dtype=torch.float64, attn_implementation="eager").eval()
    reference = copy.deepcopy(model)
    for parameter in reference.parameters():
        parameter.data += 0.03 * torch.randn_like(parameter)
    ids, mask = rows(model.config.vocab_size)
    with torch.no_grad():
        their_log_probs = log_probs(reference, ids, mask)
    found = {"ids": ids, "loss_mask": mask, "reference": their_log_probs}
    for smoothing in SMOOTHING:
        model.zero_grad()
        policy = log_probs(model, ids, mask)
        rewards = BETA * (policy - their_log_probs)
        margin = rewards[:4] - rewards[4:]
        loss = (-(1 - smoothing) * F.logsigmoid(margin) - smoothing * F.logsigmoid(-margin)).mean()
        loss.backward()
        found |= {f"loss/{smoothing}": loss, "log_probs": policy, "rewards": rewards}
        parameters = dict(model.named_parameters())
        found |= {f"grad/{smoothing}/{key}": parameters[key].grad.float().clone() for key in GRADIENTS[name]}
    return {key: value.detach().numpy() for key, value in found.items()}


if __name__ == "__main__":
    torch.manual_seed(0)
    arrays = {"beta": np.array(BETA)}
    for name, cls in (("gpt2", GPT2LMHeadModel), ("llama", LlamaForCausalLM)):
        arrays |= {f"{name}/{key}": value for key, value in make(name, cls).items()}
    np.savez_compressed(Path(__file__).parent / "dpo.npz", **arrays)
