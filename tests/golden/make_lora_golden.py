"""Make lora.npz: adapters that PEFT wrote for the models in lessons/pretrained/, and what they do to them.

Run `python tests/golden/make_lora_golden.py` with the extra `compare` and peft installed. For each `<model>/…`:
config (the text of adapter_config.json), tensor/<name> of adapter_model.safetensors, ids, targets; and in float64:
logits, loss, and grad/<name> for each A and B.
The adapters are off their start, B too. BERT's go to query and value, which are parts of one layer of ours.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import peft
import torch
from peft import LoraConfig, get_peft_model
from safetensors.numpy import load_file
from torch.nn import functional as F
from transformers import BertForMaskedLM, GPT2LMHeadModel, LlamaForCausalLM

FOLDERS = Path(__file__).parents[2] / "lessons" / "pretrained"
B, T = 2, 8
CASES = {
    "gpt2": (GPT2LMHeadModel, {"target_modules": ["c_attn", "mlp.c_proj"], "fan_in_fan_out": True}),
    "bert": (BertForMaskedLM, {"target_modules": ["query", "value", "intermediate.dense"]}),
    "llama": (
        LlamaForCausalLM,
        {"target_modules": ["q_proj", "v_proj", "up_proj"], "alpha_pattern": {"up_proj": 12}, "use_rslora": True},
    ),
}


def make(name: str) -> dict[str, np.ndarray]:
    cls, settings = CASES[name]
    base = cls.from_pretrained(FOLDERS / name, dtype=torch.float32, attn_implementation="eager")
    config = LoraConfig(r=3, lora_alpha=5, base_model_name_or_path=name, **settings)
    model = get_peft_model(base, config).eval()
    for key, parameter in model.named_parameters():
        if "lora_" in key:
            parameter.data += 0.2 * torch.randn_like(parameter)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        text = (Path(folder) / "adapter_config.json").read_text(encoding="utf-8")
        found = {f"tensor/{key}": a for key, a in load_file(Path(folder) / "adapter_model.safetensors").items()}
    model = model.double()
    V = base.config.vocab_size
    ids, targets = torch.randint(5, V, (B, T)), torch.randint(V, (B, T))
    logits = model(ids).logits
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    for key, parameter in model.named_parameters():
        if "lora_" in key:
            found[f"grad/{key.replace('.default', '')}"] = parameter.grad.float().numpy()
        else:
            assert parameter.grad is None
    found |= {"ids": ids.numpy(), "targets": targets.numpy(), "logits": logits.detach().numpy()}
    return found | {"loss": loss.detach().numpy(), "config": np.array(text)}


if __name__ == "__main__":
    torch.manual_seed(0)
    arrays = {"peft_version": np.array(peft.__version__)}
    for name in CASES:
        arrays |= {f"{name}/{key}": value for key, value in make(name).items()}
    np.savez_compressed(Path(__file__).parent / "lora.npz", **arrays)
