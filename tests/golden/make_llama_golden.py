"""Make llama.npz: what transformers' LlamaForCausalLM computes for small random models, for tests/test_llama.py.

Run `python tests/golden/make_llama_golden.py` with the extra `compare` installed. Keys are `<case>/<what>`: ids and
targets, the weights under transformers' names (`state/…`), logits, loss, and the gradients (`grad/…`). Weights are
float32 numbers; what is computed from them is computed in float64 (but for the angles, which transformers always has
in float32), and gradients are then stored in float32.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

FOLDER = Path(__file__).parent
B, T = 2, 12
SHAPE = {
    "vocab_size": 17,
    "max_position_embeddings": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 32,
    "intermediate_size": 12,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "attn_implementation": "eager",
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
# With 4 pairs per head, theta and the original context make one pair fast, one slow, and two of the passage between.
CASES = {
    "plain": {"num_key_value_heads": 4, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    "grouped": {"num_hidden_layers": 2, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    "tied": {"tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    "llama3": {"tie_word_embeddings": True, "rope_parameters": LLAMA3 | {"rope_theta": 50.0}},
    "linear": {"rope_parameters": {"rope_type": "linear", "factor": 3.0, "rope_theta": 500.0}},
}


def case(changes: dict) -> dict[str, torch.Tensor]:
    model = LlamaForCausalLM(LlamaConfig(**(SHAPE | changes))).float()
    for parameter in model.parameters():  # norms off their 1, and scores large enough to matter
        parameter.data = (parameter.data + 0.15 * torch.randn_like(parameter)).detach()
    found = {f"state/{name}": parameter.detach().clone() for name, parameter in model.named_parameters()}
    ids, targets = torch.randint(17, (B, T)), torch.randint(17, (B, T))
    model = model.double().eval()
    logits = model(ids).logits
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    found |= {"ids": ids, "targets": targets, "logits": logits, "loss": loss}
    return found | {f"grad/{name}": parameter.grad.float() for name, parameter in model.named_parameters()}


if __name__ == "__main__":
    torch.manual_seed(0)
    arrays = {"transformers_version": np.array(transformers.__version__)}
    for name, changes in CASES.items():
        arrays |= {f"{name}/{key}": value.detach().numpy() for key, value in case(changes).items()}
    np.savez_compressed(FOLDER / "llama.npz", **arrays)
    print(f"llama.npz: {len(arrays)} arrays, {(FOLDER / 'llama.npz').stat().st_size / 1000:.0f} kB")
