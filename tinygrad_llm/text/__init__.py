"""Text to token ids and back: `CharTokenizer`, `BPETokenizer` and `WordPieceTokenizer`, with one interface.

    tokenizer = BPETokenizer.train(text, vocab_size=2048, special_tokens=[END_OF_TEXT])
    tokenizer.decode(tokenizer.encode("Hello")) == "Hello"
    tokenizer.save("tokenizer.json"); tokenizer = load_tokenizer("tokenizer.json")

Reading order: char, split, word_counts, byte_alphabet, bpe_train, bpe_merge, bpe, hf_json; then bert_text,
wordpiece_train, wordpiece, wordpiece_json.
"""

from .bert_text import split_bert_words
from .bpe import END_OF_TEXT, BPETokenizer
from .bpe_train import learn_merges
from .char import CharTokenizer
from .load import Tokenizer, load_tokenizer
from .split import GPT2_PATTERN, split_words
from .word_counts import count_words
from .wordpiece import Encoding, WordPieceTokenizer, split_word
from .wordpiece_train import learn_pieces

__all__ = [
    "END_OF_TEXT",
    "GPT2_PATTERN",
    "BPETokenizer",
    "CharTokenizer",
    "Encoding",
    "Tokenizer",
    "WordPieceTokenizer",
    "count_words",
    "learn_merges",
    "learn_pieces",
    "load_tokenizer",
    "split_bert_words",
    "split_word",
    "split_words",
]
