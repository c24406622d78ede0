"""Text to token ids and back: `CharTokenizer` and `BPETokenizer`, with one interface.

    tokenizer = BPETokenizer.train(text, vocab_size=2048, special_tokens=[END_OF_TEXT])
    tokenizer.decode(tokenizer.encode("Hello")) == "Hello"
    tokenizer.save("tokenizer.json"); tokenizer = load_tokenizer("tokenizer.json")

Reading order: char, split, word_counts, byte_alphabet, bpe_train, bpe_merge, bpe, hf_json.
"""

from .bpe import END_OF_TEXT, BPETokenizer
from .bpe_train import learn_merges
from .char import CharTokenizer
from .load import load_tokenizer
from .split import GPT2_PATTERN, split_words
from .word_counts import count_words

__all__ = [
    "END_OF_TEXT",
    "GPT2_PATTERN",
    "BPETokenizer",
    "CharTokenizer",
    "count_words",
    "learn_merges",
    "load_tokenizer",
    "split_words",
]
