"""What the tests of LoRA share: small models, corrections that are off their start, and what comes out."""

import numpy as np
import pytest

from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.nn import add_lora, lora_parameters

BY_NAME = pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
IDS = np.random.default_rng(0).integers(5, 40, (2, 6))
MODELS = {
    "gpt2": lambda: GPT(GPTConfig(40, 8, 2, 2, 16, dropout=0.0), np.random.default_rng(0)),
    "bert": lambda: BERT(BERTConfig(40, 8, 2, 2, 2, 16, 24, dropout=0.0), np.random.default_rng(0)),
    "llama": lambda: Llama(LlamaConfig(40, 8, 2, 4, 2, 16, 24, tie_weights=False), np.random.default_rng(0)),
}


def outputs(model, ids=IDS):
    model.eval()
    return model.masked_lm_logits(model(ids)).data if isinstance(model, BERT) else model(ids).data


def adapted(name, seed=1, **settings):
    """A model with corrections that are off their start."""
    model, rng = MODELS[name](), np.random.default_rng(seed)
    add_lora(model, **{"rank": 3, "alpha": 6, "rng": rng} | settings)
    for parameter in lora_parameters(model):
        parameter.data[...] = 0.2 * rng.standard_normal(parameter.shape)
    return model
