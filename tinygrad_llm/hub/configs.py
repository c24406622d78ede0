"""config.json of GPT-2, BERT and Llama, as our configs and back.

A setting that our models would not follow exactly is refused, never passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..json_text import shortened
from ..models import BERTConfig, GPTConfig, LlamaConfig
from ..nn import LinearScaling, Llama3Scaling

QUANTIZATION = {"quant_method": "tinygrad_llm_int8"}  # quantization_config of what nn.quantize made
MOST_POSITIONS = 1 << 24  # of a Llama, whose tables of angles are as long; a larger number is no model's
MOST_SIZE = 1 << 53  # of anything else
MOST_NUMBER = 1e30  # so that its square, and its quotient by a small one, are still numbers


class Settings:
    """The settings in a config.json; what is asked for is checked, and a ValueError names the file and the setting."""

    def __init__(self, path: Path, data: Mapping[str, Any]):
        self.path, self.data = path, data

    def integer(self, name: str, default: int | None = None) -> int:
        value = self._get(name, default)
        if type(value) is not int or value < 1:
            raise self.wrong(name, "an integer of at least 1")
        if value > MOST_SIZE:
            raise self.wrong(name, f"at most {MOST_SIZE:,}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self._get(name, default)
        if type(value) not in (int, float) or not abs(value) < MOST_NUMBER:  # NaN is not, either
            raise self.wrong(name, "a number")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        if type(self._get(name, default)) is not bool:
            raise self.wrong(name, "true or false")
        return self._get(name, default)

    def require(self, name: str, *allowed: Any) -> None:
        """The setting must be one of these; where it is missing it is the first."""
        if self._get(name, allowed[0]) not in allowed:
            raise self.wrong(name, " or ".join(repr(each) for each in allowed) + ", the only choice here")

    def dropout(self, chosen: float | None, *names: str) -> float:
        """The one rate of our models, which transformers has in several settings."""
        if chosen is not None:
            return chosen
        rates = {name: self.number(name, 0.1) for name in names}
        if len(set(rates.values())) > 1:
            shown = ", ".join(f"{name} {rate}" for name, rate in rates.items())
            raise ValueError(f"{self.path} has several dropout rates ({shown}): load_pretrained(dropout=…) chooses one")
        return next(iter(rates.values()))

    def wrong(self, name: str, wanted: str) -> ValueError:
        return ValueError(f"{self.path}: {name} must be {wanted}, not {shortened(repr(self.data.get(name)), 80)}")

    def _get(self, name: str, default: Any) -> Any:
        value = self.data.get(name)
        return default if value is None else value


def read_quantization(settings: Settings) -> bool:
    """Whether the weights are int8, as `nn.quantize` makes them. Raises ValueError for another quantisation."""
    if settings.data.get("quantization_config") not in (None, QUANTIZATION):
        raise settings.wrong("quantization_config", f"{QUANTIZATION} or missing: no other quantised weights are read")
    return settings.data.get("quantization_config") is not None


def read_gpt2(settings: Settings, dropout: float | None) -> GPTConfig:
    d_model = settings.integer("n_embd", 768)
    settings.require("n_inner", 4 * d_model)
    settings.require("activation_function", "gelu_new", "gelu_pytorch_tanh")
    settings.require("scale_attn_weights", True)
    settings.require("scale_attn_by_inverse_layer_idx", False)
    settings.require("add_cross_attention", False)
    settings.require("tie_word_embeddings", True)
    return GPTConfig(
        vocab_size=settings.integer("vocab_size", 50257),
        max_seq_len=settings.integer("n_positions", 1024),
        n_layers=settings.integer("n_layer", 12),
        n_heads=settings.integer("n_head", 12),
        d_model=d_model,
        dropout=settings.dropout(dropout, "resid_pdrop", "embd_pdrop", "attn_pdrop"),
        layer_norm_eps=settings.number("layer_norm_epsilon", 1e-5),
        init_std=settings.number("initializer_range", 0.02),
    )


def write_gpt2(config: GPTConfig) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": config.vocab_size,
        "n_positions": config.max_seq_len,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_embd": config.d_model,
        "n_inner": None,
        "activation_function": "gelu_new",
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "layer_norm_epsilon": config.layer_norm_eps,
        "initializer_range": config.init_std,
        "tie_word_embeddings": True,
    }


def read_bert(settings: Settings, dropout: float | None) -> BERTConfig:
    settings.require("hidden_act", "gelu")
    settings.require("position_embedding_type", "absolute")
    settings.require("is_decoder", False)
    settings.require("add_cross_attention", False)
    settings.require("tie_word_embeddings", True)
    return BERTConfig(
        vocab_size=settings.integer("vocab_size", 30522),
        max_seq_len=settings.integer("max_position_embeddings", 512),
        n_segments=settings.integer("type_vocab_size", 2),
        n_layers=settings.integer("num_hidden_layers", 12),
        n_heads=settings.integer("num_attention_heads", 12),
        d_model=settings.integer("hidden_size", 768),
        d_ff=settings.integer("intermediate_size", 3072),
        dropout=settings.dropout(dropout, "hidden_dropout_prob", "attention_probs_dropout_prob"),
        layer_norm_eps=settings.number("layer_norm_eps", 1e-12),
        init_std=settings.number("initializer_range", 0.02),
    )


def write_bert(config: BERTConfig) -> dict[str, Any]:
    return {
        "architectures": ["BertForMaskedLM" if config.masked_lm else "BertModel"],
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_seq_len,
        "type_vocab_size": config.n_segments,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "hidden_act": "gelu",
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
        "layer_norm_eps": config.layer_norm_eps,
        "initializer_range": config.init_std,
        "tie_word_embeddings": True,
    }


def read_llama(settings: Settings, dropout: float | None) -> LlamaConfig:
    if dropout:
        raise ValueError(f"{settings.path} is a Llama's, which has no dropout: leave dropout={dropout} out")
    d_model, n_heads = settings.integer("hidden_size", 4096), settings.integer("num_attention_heads", 32)
    if settings.integer("head_dim", max(d_model // n_heads, 1)) * n_heads != d_model:
        raise settings.wrong("head_dim", f"hidden_size / num_attention_heads = {d_model / n_heads:g}, as in Llama 3.1")
    settings.require("hidden_act", "silu")
    settings.require("attention_bias", False)
    settings.require("mlp_bias", False)
    settings.require("pretraining_tp", 1)
    max_seq_len = settings.integer("max_position_embeddings", 2048)
    if max_seq_len > MOST_POSITIONS:
        raise settings.wrong("max_position_embeddings", f"at most {MOST_POSITIONS:,}")
    theta, scaling = _rope(settings)
    return LlamaConfig(
        vocab_size=settings.integer("vocab_size", 32000),
        max_seq_len=max_seq_len,
        n_layers=settings.integer("num_hidden_layers", 32),
        n_heads=n_heads,
        n_kv_heads=settings.integer("num_key_value_heads", n_heads),
        d_model=d_model,
        d_ff=settings.integer("intermediate_size", 11008),
        rope_theta=theta,
        rope_scaling=scaling,
        rms_norm_eps=settings.number("rms_norm_eps", 1e-6),
        tie_weights=settings.flag("tie_word_embeddings", False),
        init_std=settings.number("initializer_range", 0.02),
    )


def _rope(settings: Settings) -> tuple[float, LinearScaling | Llama3Scaling | None]:
    """Theta and the scaling: in rope_parameters since transformers 5, before that in rope_theta and rope_scaling."""
    name = "rope_parameters" if settings.data.get("rope_parameters") is not None else "rope_scaling"
    rope = settings.data.get(name) or {}
    if not isinstance(rope, dict):
        raise settings.wrong(name, "an object")
    inner = Settings(Path(f"{settings.path}, {name}"), rope)
    theta = inner.number("rope_theta", settings.number("rope_theta", 10_000.0))
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return theta, None
    if kind == "linear":
        return theta, LinearScaling(inner.number("factor"))
    if kind == "llama3":
        return theta, Llama3Scaling(
            inner.number("factor"),
            inner.number("low_freq_factor"),
            inner.number("high_freq_factor"),
            inner.integer("original_max_position_embeddings"),
        )
    raise inner.wrong("rope_type", "'default', 'linear' or 'llama3', the only choice here")


def write_llama(config: LlamaConfig) -> dict[str, Any]:
    scaling = {}
    if isinstance(config.rope_scaling, LinearScaling):
        scaling = {"rope_type": "linear", "factor": config.rope_scaling.factor}
    elif config.rope_scaling is not None:
        scaling = {"rope_type": "llama3"} | vars(config.rope_scaling)
    return {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_seq_len,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rope_theta": config.rope_theta,  # where transformers read them before version 5, which still does
        "rope_scaling": scaling or None,
        "rms_norm_eps": config.rms_norm_eps,
        "initializer_range": config.init_std,
        "tie_word_embeddings": config.tie_weights,
    }


READERS: Mapping[str, Callable[[Settings, float | None], Any]] = {
    "gpt2": read_gpt2,
    "bert": read_bert,
    "llama": read_llama,
}
WRITERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {"gpt2": write_gpt2, "bert": write_bert, "llama": write_llama}
