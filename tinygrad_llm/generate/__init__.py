"""Text from a model: one token at a time.

    generate                 prompts, and what the model makes of them
    generate_tokens          the same, each token as soon as it is chosen
    generate_with_log_probs  the same, with how likely the model held each token
    beam_search              the likeliest whole texts, of several that are kept open at once
    generate_naive           the slow way that is easy to believe; gives the same tokens as `generate`
    left_pad                 prompts of different lengths as one batch
    Given                    an encoder-decoder that has read its sources: to all of these a model like any other

A model here is anything with `config.max_seq_len`, `config.vocab_size`, `new_cache(batch_size)`, a `KVCache`, and
`next_token_logits(ids, cache) -> (B, V)`. Names of arguments, and what they mean, are those of `generate` in Hugging
Face's transformers.
"""

from .beam_search import BeamSearchResult, beam_search
from .decoding import Generated, generate, generate_tokens, generate_with_log_probs
from .given import Given
from .naive import generate_naive
from .prompts import left_pad
from .sampling import GenerationConfig, next_token_probabilities, sample

__all__ = [
    "BeamSearchResult",
    "Generated",
    "GenerationConfig",
    "Given",
    "beam_search",
    "generate",
    "generate_naive",
    "generate_tokens",
    "generate_with_log_probs",
    "left_pad",
    "next_token_probabilities",
    "sample",
]
