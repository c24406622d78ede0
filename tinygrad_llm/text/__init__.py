"""Text to token ids and back: `CharTokenizer`, `BPETokenizer` and `WordPieceTokenizer`, with one interface.

    tokenizer = BPETokenizer.train(text, vocab_size=2048, special_tokens=[END_OF_TEXT])
    tokenizer.decode(tokenizer.encode("Hello")) == "Hello"
    tokenizer.save("tokenizer.json"); tokenizer = load_tokenizer("tokenizer.json")

Reading order: char, split, word_counts, byte_alphabet, bpe_train, bpe_merge, bpe, hf_json; then bert_text,
wordpiece_train, wordpiece, wordpiece_json; then chat, chat_jinja.
"""

from .bert_text import split_bert_words
from .bpe import END_OF_TEXT, BPETokenizer
from .bpe_train import learn_merges
from .char import CharTokenizer
from .chat import TEMPLATES, ChatTemplate, EncodedChat, Message, encode_chat, end_ids
from .chat_jinja import load_chat_template, save_chat_template, template_for, to_jinja
from .load import Tokenizer, load_tokenizer
from .split import GPT2_PATTERN, split_words
from .word_counts import count_words
from .wordpiece import Encoding, WordPieceTokenizer, split_word
from .wordpiece_train import learn_pieces

__all__ = [
    "END_OF_TEXT",
    "GPT2_PATTERN",
    "TEMPLATES",
    "BPETokenizer",
    "CharTokenizer",
    "ChatTemplate",
    "EncodedChat",
    "Encoding",
    "Message",
    "Tokenizer",
    "WordPieceTokenizer",
    "count_words",
    "encode_chat",
    "end_ids",
    "learn_merges",
    "learn_pieces",
    "load_chat_template",
    "load_tokenizer",
    "save_chat_template",
    "split_bert_words",
    "split_word",
    "split_words",
    "template_for",
    "to_jinja",
]
