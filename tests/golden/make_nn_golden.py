"""Make nn.npz, optim.npz and gpt.npz: what PyTorch 2.13 computes, for tests/test_nn*.py, test_optim*.py, test_gpt.py.

Run `python tests/golden/make_nn_golden.py` with the extra `compare` installed. Keys are paths: `<case>/out`,
`<case>/grad/<parameter or input>`, and so on. All in float64 on the CPU, except the ten losses of a GPT in float32.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

FOLDER = Path(__file__).parent
N, T, C, HEADS, HIDDEN = 2, 3, 4, 2, 8  # sizes of the attention and encoder cases
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "silu": F.silu}


def gradients(module: nn.Module, inputs: dict[str, torch.Tensor], out: torch.Tensor, dout: torch.Tensor) -> dict:
    module.zero_grad()
    for x in inputs.values():
        x.grad = None
    (out * dout).sum().backward()
    named = {**dict(module.named_parameters()), **{k: x for k, x in inputs.items() if x.requires_grad}}
    return {f"grad/{name}": tensor.grad.clone() for name, tensor in named.items()}


def weights_and_input(layer: nn.Module, shape: tuple[int, ...]) -> tuple[dict, torch.Tensor]:
    """The layer's weights, moved off their special initial values, and a random input."""
    for parameter in layer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return {f"state/{k}": v.clone() for k, v in layer.state_dict().items()}, leaf(*shape)


def leaf(*shape: int) -> torch.Tensor:
    return torch.randn(shape, requires_grad=True)


def simple_layers() -> dict:
    found = {}
    ids = torch.tensor([[1, 0, 4], [4, 2, 0]])
    for name, layer, x in [
        ("linear", nn.Linear(4, 5), leaf(2, 3, 4)),
        ("linear_no_bias", nn.Linear(4, 5, bias=False), leaf(4)),
        ("embedding", nn.Embedding(5, 4), ids),
        ("embedding_padding", nn.Embedding(5, 4, padding_idx=0), ids),
        ("layer_norm", nn.LayerNorm(4), leaf(2, 3, 4)),
        ("layer_norm_no_bias", nn.LayerNorm((3, 4), eps=0.1, bias=False), leaf(2, 3, 4)),
        ("rms_norm", nn.RMSNorm(4), leaf(2, 3, 4)),
        ("gelu", nn.GELU(), leaf(2, 3)),
        ("gelu_tanh", nn.GELU(approximate="tanh"), leaf(2, 3)),
    ]:
        state, _ = weights_and_input(layer, ())
        out = layer(x)
        dout = torch.randn_like(out)
        case = {**state, "x": x, "out": out, "dout": dout, **gradients(layer, {"x": x}, out, dout)}
        found |= {f"{name}/{key}": value for key, value in case.items()}
    return found


def masks() -> dict[str, dict[str, torch.Tensor]]:
    """Arguments of MultiheadAttention.forward; in every row at least one key is visible."""
    causal = torch.triu(torch.ones(T, T, dtype=torch.bool), diagonal=1)
    padding = torch.tensor([[False, False, True], [False, False, False]])
    return {
        "no_mask": {},
        "bool_mask": {"attn_mask": causal},
        "float_mask": {"attn_mask": torch.randn(T, T)},
        "mask_per_head": {"attn_mask": torch.randn(N * HEADS, T, T)},
        "padding": {"key_padding_mask": padding},
        "mask_and_padding": {"attn_mask": causal, "key_padding_mask": padding},
    }


def attention() -> dict:
    layer = nn.MultiheadAttention(C, HEADS, batch_first=True)
    state, query = weights_and_input(layer, (N, T, C))
    memory = leaf(N, T + 2, C)
    found = {**state, "query": query, "memory": memory, "dout": torch.randn(N, T, C)}
    for mask_name, mask in masks().items():
        out, weights = layer(query, query, query, **mask)
        per_head = layer(query, query, query, average_attn_weights=False, **mask)[1]
        case = {"out": out, "weights": weights, "weights_per_head": per_head, **mask}
        case |= gradients(layer, {"query": query}, out, found["dout"])
        found |= {f"self-{mask_name}/{key}": value for key, value in case.items()}
    out, weights = layer(query, memory, memory)
    case = {"out": out, "weights": weights}
    case |= gradients(layer, {"query": query, "memory": memory}, out + weights.sum(), found["dout"])
    found |= {f"cross/{key}": value for key, value in case.items()}
    return found


def encoder() -> dict:
    """Every combination of settings for one layer, then a stack of two."""
    state, src = weights_and_input(nn.TransformerEncoderLayer(C, HEADS, HIDDEN), (N, T, C))
    found = {**state, "src": src, "dout": torch.randn(N, T, C)}
    weights = {key.removeprefix("state/"): value for key, value in state.items()}
    for activation, norm_first, (mask_name, mask) in itertools.product(ACTIVATIONS, (False, True), masks().items()):
        if activation == "silu" and mask_name != "padding":
            continue
        settings = {"activation": ACTIVATIONS[activation], "norm_first": norm_first}
        results = [
            encoder_case(weights, src, found["dout"], mask, batch_first, settings) for batch_first in (True, False)
        ]
        for key, value in results[0].items():
            torch.testing.assert_close(value, results[1][key])
            found[f"{activation}-{norm_first}-{mask_name}/{key}"] = value
    return found | stack(src, found["dout"])


def encoder_case(weights: dict, src, dout, mask: dict, batch_first: bool, settings: dict) -> dict:
    """The batch comes first in the results, so they do not depend on `batch_first`."""
    layer = nn.TransformerEncoderLayer(C, HEADS, HIDDEN, 0.0, batch_first=batch_first, **settings)
    layer.load_state_dict(weights)
    x = src if batch_first else src.transpose(0, 1)
    out = layer(x, mask.get("attn_mask"), mask.get("key_padding_mask"))
    out = out if batch_first else out.transpose(0, 1)
    return {"out": out, **gradients(layer, {"src": src}, out, dout), **mask}


def stack(src: torch.Tensor, dout: torch.Tensor) -> dict:
    layer = nn.TransformerEncoderLayer(C, HEADS, HIDDEN, 0.0, "gelu", batch_first=True, norm_first=True, bias=False)
    model = nn.TransformerEncoder(layer, 2, nn.LayerNorm(C), enable_nested_tensor=False)
    state, _ = weights_and_input(model, ())
    mask = masks()["mask_and_padding"]
    out = model(src, mask["attn_mask"], mask["key_padding_mask"])
    case = {**state, "out": out, **mask, **gradients(model, {"src": src}, out, dout)}
    return {f"stack/{key}": value for key, value in case.items()}


OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}),
    "sgd_momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1}),
    "sgd_nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (torch.optim.Adam, {"lr": 0.1, "betas": (0.8, 0.95)}),
    "adam_l2": (torch.optim.Adam, {"lr": 0.1, "weight_decay": 0.1}),
    "adamw": (torch.optim.AdamW, {"lr": 0.1, "eps": 1e-3, "weight_decay": 0.1}),
    "muon": (torch.optim.Muon, {"lr": 0.1}),
    "muon_plain": (torch.optim.Muon, {"lr": 0.1, "nesterov": False, "momentum": 0.5, "weight_decay": 0.0}),
}


def optimizers() -> dict:
    """Two parameters after each of ten steps with given gradients; "b" has none in step 3."""
    torch.Tensor.bfloat16 = lambda self: self.clone()  # Muon's iteration in full precision, as ours
    start = {"a": torch.randn(3, 4), "b": torch.randn(5, 2)}
    steps = {name: torch.randn(10, *x.shape) for name, x in start.items()}
    found = {f"start/{k}": v for k, v in start.items()} | {f"gradients/{k}": v for k, v in steps.items()}
    for case, (make, settings) in OPTIMIZERS.items():
        parameters = {name: x.clone().requires_grad_() for name, x in start.items()}
        optimizer = make(parameters.values(), **settings)
        path = {name: [] for name in start}
        for step in range(10):
            for name, parameter in parameters.items():
                parameter.grad = None if (name, step) == ("b", 3) else steps[name][step].clone()
            optimizer.step()
            for name, parameter in parameters.items():
                path[name].append(parameter.detach().clone())
        found |= {f"{case}/{name}": torch.stack(values) for name, values in path.items()}
    return found | clipping(start)


def clipping(gradients_: dict[str, torch.Tensor]) -> dict:
    found = {}
    for max_norm in (0.5, 100.0):
        parameters = {name: torch.zeros_like(g).requires_grad_() for name, g in gradients_.items()}
        for name, parameter in parameters.items():
            parameter.grad = gradients_[name].clone()
        found[f"clip-{max_norm}/norm"] = nn.utils.clip_grad_norm_(parameters.values(), max_norm)
        found |= {f"clip-{max_norm}/{name}": parameter.grad for name, parameter in parameters.items()}
    return found


class Block(nn.Module):
    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.attention = nn.ModuleDict({"qkv": nn.Linear(d_model, 3 * d_model), "out": nn.Linear(d_model, d_model)})
        self.feed_forward = nn.ModuleDict(
            {"up": nn.Linear(d_model, 4 * d_model), "down": nn.Linear(4 * d_model, d_model)}
        )

    def forward(self, x):
        q, k, v = self.attention["qkv"](self.norm1(x)).chunk(3, dim=-1)
        q, k, v = (y.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for y in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.attention["out"](mixed)
        hidden = F.gelu(self.feed_forward["up"](self.norm2(x)), approximate="tanh")
        return x + self.feed_forward["down"](hidden)


class GPT(nn.Module):
    """GPT-2 in PyTorch, with the parameter names of tinygrad_llm.models.GPT."""

    def __init__(self, vocab_size: int, max_seq_len: int, n_layers: int, n_heads: int, d_model: int):
        super().__init__()
        self.token_embedding = nn.Embedding(vocab_size, d_model)
        self.position_embedding = nn.Embedding(max_seq_len, d_model)
        self.blocks = nn.ModuleList(Block(d_model, n_heads) for _ in range(n_layers))
        self.norm = nn.LayerNorm(d_model)

    def forward(self, ids):
        x = self.token_embedding(ids) + self.position_embedding(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.token_embedding.weight.T

    def loss(self, ids, targets):
        return F.cross_entropy(self(ids).flatten(0, 1), targets.flatten())


def gpt() -> dict:
    model = GPT(vocab_size=13, max_seq_len=8, n_layers=2, n_heads=2, d_model=8)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    model.token_embedding.weight.data *= 0.3
    ids, targets = torch.randint(13, (10, 3, 8)), torch.randint(13, (10, 3, 8))
    found = {f"state/{k}": v.float() for k, v in model.state_dict().items()} | {
        "ids": ids,
        "targets": targets,
    }
    model.load_state_dict({k.removeprefix("state/"): v for k, v in found.items() if k.startswith("state/")})
    loss = model.loss(ids[0], targets[0])
    found |= {"logits": model(ids[0]), "loss": loss, **gradients(model, {}, loss, torch.tensor(1.0))}
    return found | {"losses": ten_losses(model.float(), ids, targets)}


def ten_losses(model: GPT, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Training in float32, the targets made learnable: each token is followed by the next number."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    losses = []
    for step in range(10):
        optimizer.zero_grad()
        loss = model.loss(ids[step], (ids[step] + 1) % 13)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    return torch.tensor(losses)


def save(name: str, found: dict) -> None:
    arrays = {key: torch.as_tensor(value).detach().numpy() for key, value in found.items()}
    np.savez_compressed(FOLDER / name, **arrays)
    print(f"{name}: {len(arrays)} arrays, {(FOLDER / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    prefixed = {"attention": attention(), "encoder": encoder()}
    save("nn.npz", simple_layers() | {f"{p}/{k}": v for p, part in prefixed.items() for k, v in part.items()})
    save("optim.npz", optimizers())
    save("gpt.npz", gpt())
