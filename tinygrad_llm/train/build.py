"""From settings to objects: the model, the optimizer and the schedule that a `PretrainConfig` describes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from .recipes import PretrainConfig

if TYPE_CHECKING:  # `tinygrad-llm --help` should not wait for the models to be imported
    from .. import models
    from ..nn import Module, Parameter
    from ..optim import Optimizer

FEED_FORWARD_MULTIPLE = 32  # of which Llama's d_ff is one, for whole vectors of the processor


def model_config(
    config: PretrainConfig, vocab_size: int
) -> models.GPTConfig | models.LlamaConfig | models.BERTConfig | models.Seq2SeqConfig:
    """The shape of the model: here each of them takes what it has of the settings."""
    from .. import models

    names = ("n_layers", "n_heads", "d_model", "init_std")
    shared = {"vocab_size": vocab_size} | {name: getattr(config, name) for name in names}
    T, wide = config.max_seq_len, {"d_ff": 4 * config.d_model, "dropout": config.dropout}
    match config.model:
        case "gpt":
            return models.GPTConfig(**shared, max_seq_len=T, dropout=config.dropout, bias=config.bias)
        case "llama":
            n_kv_heads = config.n_kv_heads or config.n_heads
            d_ff = gated_width(config.d_model)
            return models.LlamaConfig(**shared, max_seq_len=T, n_kv_heads=n_kv_heads, d_ff=d_ff)
        case "bert":
            return models.BERTConfig(**shared, max_seq_len=T, **wide)
        case "seq2seq":
            of_pairs = {"max_source_len": T, "max_target_len": T, "label_smoothing": config.label_smoothing}
            return models.Seq2SeqConfig(**shared, **of_pairs, **wide)


def gated_width(d_model: int) -> int:
    """8/3 · d_model, so that three matrices cost what GPT's two of 4 · d_model do, rounded up.

    >>> gated_width(192), gated_width(200)
    (512, 544)
    """
    return -(-8 * d_model // (3 * FEED_FORWARD_MULTIPLE)) * FEED_FORWARD_MULTIPLE


def build_model(config: PretrainConfig, vocab_size: int) -> models.GPT | models.Llama | models.BERT | models.Seq2Seq:
    """A model with new weights, drawn from `config.seed`."""
    import numpy as np

    from .. import models

    classes = {"gpt": models.GPT, "llama": models.Llama, "bert": models.BERT, "seq2seq": models.Seq2Seq}
    model = classes[config.model](model_config(config, vocab_size), np.random.default_rng(config.seed))
    model.checkpoint_activations = config.checkpoint_activations
    return model


def build_optimizer(config: PretrainConfig, model: Module) -> Optimizer:
    """AdamW; weight decay is for matrices, since norms and biases do not overfit (as in GPT-3 and nanoGPT).

    With optimizer="muon" the matrices in the blocks are Muon's, and AdamW keeps embeddings, norms and biases.
    """
    from ..optim import AdamW, Combined, Muon, decay_matrices
    from ..optim.muon import POLAR_EXPRESS

    by_muon = _block_matrices(model) if config.optimizer == "muon" else {}
    rest = [p for name, p in model.named_parameters() if name not in by_muon]
    adamw = AdamW(
        decay_matrices(rest, config.weight_decay), lr=config.learning_rate, betas=(config.beta1, config.beta2)
    )
    if not by_muon:
        return adamw
    # queries, keys and values of self-attention are three matrices, though they are often made in one product
    groups = [
        {"params": [p for name, p in by_muon.items() if name.endswith("qkv.weight") == packed], "stacked": stacked}
        for packed, stacked in ((True, 3), (False, 1))
    ]
    muon = Muon(
        [group for group in groups if group["params"]],
        lr=config.muon_learning_rate,
        weight_decay=config.weight_decay,
        momentum=config.muon_momentum,
        ns_coefficients=POLAR_EXPRESS,
        ns_steps=len(POLAR_EXPRESS),
    )
    return Combined(adamw, muon)


def _block_matrices(model: Module) -> dict[str, Parameter]:
    return {name: p for name, p in model.named_parameters() if "blocks." in name and p.ndim == 2}


def build_schedule(config: PretrainConfig) -> Callable[[int], float]:
    """From the step (0, 1, …) to the factor on the learning rate."""
    from .. import optim

    final_factor = config.min_learning_rate / config.learning_rate
    warmup_steps = round(config.warmup_ratio * config.steps)
    settings = {"n_steps": config.steps, "warmup_steps": warmup_steps, "final_factor": final_factor}
    if config.schedule == "wsd":
        settings["decay_steps"] = min(config.steps // 5, config.steps - warmup_steps)
    return partial(getattr(optim, config.schedule), **settings)
