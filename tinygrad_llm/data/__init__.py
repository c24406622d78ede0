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
"""

from .baselines import CompressionBaseline, compression_bits_per_byte
from .batches import RandomBatches, pad, sequential_batches
from .clean import CleanReport, clean, clean_stream, normalize
from .columns import SpanColumns, TextColumns
from .corpora import embedded_corpus
from .documents import DOCUMENT_SEPARATOR, Document, join_documents
from .examples import SpanExample, TextExample, class_names, label_of, module_of
from .files import read_files
from .filters import MASSIVE_TEXT, Filters, script_share
from .near_duplicates import NearDuplicates
from .questions import signature_questions
from .split import Split, goes_to_validation, split_documents
from .stratify import ExampleSplit, split_examples
from .tables import Problem, Table, read_table
from .tasks import docstring_packages, parameter_grades, signature_pairs
from .token_file import TokenHeader, TokenWriter, open_tokens, read_token_header, write_tokens

__all__ = [
    "DOCUMENT_SEPARATOR",
    "MASSIVE_TEXT",
    "CleanReport",
    "CompressionBaseline",
    "Document",
    "ExampleSplit",
    "Filters",
    "NearDuplicates",
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
    "class_names",
    "clean",
    "clean_stream",
    "compression_bits_per_byte",
    "docstring_packages",
    "embedded_corpus",
    "goes_to_validation",
    "join_documents",
    "label_of",
    "module_of",
    "normalize",
    "open_tokens",
    "pad",
    "parameter_grades",
    "read_files",
    "read_table",
    "read_token_header",
    "script_share",
    "sequential_batches",
    "signature_pairs",
    "signature_questions",
    "split_documents",
    "split_examples",
    "write_tokens",
]
