"""Text in, batches out: corpora, cleaning, filters, the split, token files and batches, in the order they are used.

documents, report = clean(embedded_corpus("prose"))          # or clean(read_files("my_book.txt"))
print(report)                                                # what went, and why; filters=MASSIVE_TEXT is stricter
split = split_documents(documents, fraction=0.1, seed=0)
tokenizer.train(join_documents(split.train))
write_tokens("train.tokens", split.train, tokenizer)
x, y = next(RandomBatches(open_tokens("train.tokens"), batch_size=12, seq_len=64, seed=0))

To fine-tune: examples with labels, from your own tables or from the running Python, and their split.

table = read_table("reviews.csv", TextColumns(text="review", label="stars"))         # or docstring_packages()
parts = split_examples(table.examples, stratify=label_of)

Sequence to sequence: pairs of texts, from your own tables, from the running Python, or made to measure.

table = read_pairs("phrases.tsv")                            # or source_summaries(), docstring_names()
parts = split_pairs(table.examples)                          # number_split() and date_split() come split
"""

from .baselines import CompressionBaseline, compression_bits_per_byte
from .batches import RandomBatches, pad, sequential_batches
from .clean import CleanReport, clean, clean_stream, normalize
from .columns import Pair, PairColumns, SpanColumns, TextColumns
from .conversations import Conversation, read_conversations, split_conversations
from .corpora import embedded_corpus
from .dates import parse_chinese_date, parse_english_date, spell_chinese_date, spell_english_date
from .documents import DOCUMENT_SEPARATOR, Document, join_documents
from .examples import SpanExample, TextExample, class_names, label_of, module_of
from .files import read_files
from .filters import MASSIVE_TEXT, Filters, script_share
from .instructions import docstring_conversations, instruction_split
from .near_duplicates import NearDuplicates
from .numerals import parse_chinese, parse_english, spell_chinese, spell_english
from .pairs import docstring_names, module_of_pair, read_pairs, source_summaries, split_pairs
from .preferences import (
    Preference,
    docstring_preferences,
    read_preferences,
    split_docstring_preferences,
    split_preferences,
)
from .questions import signature_questions
from .split import Split, goes_to_validation, split_documents
from .stratify import ExampleSplit, split_examples
from .tables import Problem, Table, read_table
from .tasks import docstring_packages, parameter_grades, signature_pairs
from .token_file import TokenHeader, TokenWriter, open_tokens, read_token_header, write_tokens
from .translation import TranslationSplit, date_pairs, date_split, number_pairs, number_split

__all__ = [
    "DOCUMENT_SEPARATOR",
    "MASSIVE_TEXT",
    "CleanReport",
    "CompressionBaseline",
    "Conversation",
    "Document",
    "ExampleSplit",
    "Filters",
    "NearDuplicates",
    "Pair",
    "PairColumns",
    "Preference",
    "Problem",
    "RandomBatches",
    "SpanColumns",
    "SpanExample",
    "Split",
    "Table",
    "TextColumns",
    "TextExample",
    "TokenHeader",
    "TokenWriter",
    "TranslationSplit",
    "class_names",
    "clean",
    "clean_stream",
    "compression_bits_per_byte",
    "date_pairs",
    "date_split",
    "docstring_conversations",
    "docstring_names",
    "docstring_packages",
    "docstring_preferences",
    "embedded_corpus",
    "goes_to_validation",
    "instruction_split",
    "join_documents",
    "label_of",
    "module_of",
    "module_of_pair",
    "normalize",
    "number_pairs",
    "number_split",
    "open_tokens",
    "pad",
    "parameter_grades",
    "parse_chinese",
    "parse_chinese_date",
    "parse_english",
    "parse_english_date",
    "read_conversations",
    "read_files",
    "read_pairs",
    "read_preferences",
    "read_table",
    "read_token_header",
    "script_share",
    "sequential_batches",
    "signature_pairs",
    "signature_questions",
    "source_summaries",
    "spell_chinese",
    "spell_chinese_date",
    "spell_english",
    "spell_english_date",
    "split_conversations",
    "split_docstring_preferences",
    "split_documents",
    "split_examples",
    "split_pairs",
    "split_preferences",
    "write_tokens",
]
