"""Text in, batches out: corpora, cleaning, filters, the split, token files and batches, in the order they are used.

documents, report = clean(embedded_corpus("prose"))          # or clean(read_files("my_book.txt"))
print(report)                                                # what went, and why; filters=MASSIVE_TEXT is stricter
split = split_documents(documents, fraction=0.1, seed=0)
tokenizer.train(join_documents(split.train))
write_tokens("train.tokens", split.train, tokenizer)
x, y = next(RandomBatches(open_tokens("train.tokens"), batch_size=12, seq_len=64, seed=0))
"""

from .baselines import CompressionBaseline, compression_bits_per_byte
from .batches import RandomBatches, sequential_batches
from .clean import CleanReport, clean, clean_stream, normalize
from .corpora import embedded_corpus
from .documents import DOCUMENT_SEPARATOR, Document, join_documents
from .files import read_files
from .filters import MASSIVE_TEXT, Filters, script_share
from .near_duplicates import NearDuplicates
from .split import Split, goes_to_validation, split_documents
from .token_file import TokenHeader, TokenWriter, open_tokens, read_token_header, write_tokens

__all__ = [
    "DOCUMENT_SEPARATOR",
    "MASSIVE_TEXT",
    "CleanReport",
    "CompressionBaseline",
    "Document",
    "Filters",
    "NearDuplicates",
    "RandomBatches",
    "Split",
    "TokenHeader",
    "TokenWriter",
    "clean",
    "clean_stream",
    "compression_bits_per_byte",
    "embedded_corpus",
    "goes_to_validation",
    "join_documents",
    "normalize",
    "open_tokens",
    "read_files",
    "read_token_header",
    "script_share",
    "sequential_batches",
    "split_documents",
    "write_tokens",
]
