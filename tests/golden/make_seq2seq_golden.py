"""Make seq2seq.npz: what PyTorch's nn.Transformer computes with an embedding around it, for tests/test_seq2seq.py.

Run `python tests/golden/make_seq2seq_golden.py` with the extra `compare` installed. The encoder-decoder is
nn.Transformer(norm_first=True), with learned positions for both texts and one table of tokens that makes the scores
too. Keys are `state/…`, `grad/…` under PyTorch's names, the inputs, the scores and two losses. Weights are float32
numbers; what is computed from them is computed in float64, and gradients are then stored in float32.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

PATH = Path(__file__).parent / "seq2seq.npz"
V, S, T, C, HEADS, HIDDEN, LAYERS, SMOOTHING = 17, 7, 6, 12, 3, 20, 2, 0.1
SOURCE_LENGTHS, TARGET_LENGTHS = torch.tensor([7, 4, 1]), torch.tensor([6, 3, 5])


class EncoderDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(V, C)
        self.source_positions = nn.Embedding(S + 2, C)
        self.target_positions = nn.Embedding(T + 1, C)
        options = {"activation": "gelu", "dropout": 0.0, "batch_first": True, "norm_first": True}
        self.transformer = nn.Transformer(C, HEADS, LAYERS, LAYERS, HIDDEN, **options)

    def forward(self, source, target, source_mask):
        x, y = (
            self.tokens(ids) + table.weight[: ids.shape[1]]
            for ids, table in ((source, self.source_positions), (target, self.target_positions))
        )
        future = torch.ones(T, T, dtype=torch.bool).triu(1)  # True hides
        options = {"src_key_padding_mask": ~source_mask, "memory_key_padding_mask": ~source_mask}
        return self.transformer(x, y, tgt_mask=future, **options) @ self.tokens.weight.T


if __name__ == "__main__":
    torch.manual_seed(0)
    model = EncoderDecoder()
    for parameter in model.parameters():  # norms off their 1, biases off their 0
        parameter.data = (0.7 * parameter + 0.2 * torch.randn_like(parameter)).detach()
    arrays = {f"state/{name}": parameter.detach().clone() for name, parameter in model.named_parameters()}
    model = model.double().train()
    source, target_in, target_out = (torch.randint(V, (3, n)) for n in (S, T, T))
    source_mask = torch.arange(S) < SOURCE_LENGTHS[:, None]
    target_out[torch.arange(T) >= TARGET_LENGTHS[:, None]] = -100
    logits = model(source, target_in, source_mask)
    plain, smoothed = (
        F.cross_entropy(logits.flatten(0, 1), target_out.flatten(), label_smoothing=part) for part in (0.0, SMOOTHING)
    )
    smoothed.backward()
    arrays |= {"source": source, "source_mask": source_mask, "target_in": target_in, "target_out": target_out}
    arrays |= {"logits": logits, "loss": plain, "smoothed_loss": smoothed}
    arrays |= {f"grad/{name}": parameter.grad.float() for name, parameter in model.named_parameters()}
    numbers = {name: value.detach().numpy() for name, value in arrays.items()}
    np.savez_compressed(PATH, torch_version=np.array(torch.__version__), **numbers)
    print(f"{PATH.name}: {len(arrays)} arrays, {PATH.stat().st_size / 1000:.0f} kB")
