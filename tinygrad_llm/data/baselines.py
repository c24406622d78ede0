"""What a compressor makes of the same text: the mark that a language model has to beat.

A model that gives the next token the probability p can code it in -log₂ p bits (arithmetic coding), so its
loss is a file size. Bits per byte compare models with different vocabularies, and models with zlib and
lzma. Source: G. Delétang and others, "Language Modeling Is Compression" (2024).
"""

import lzma
import zlib
from dataclasses import dataclass

PRIMING_BYTES = 16 << 20  # lzma -9e takes about a second per megabyte, and far text helps it little


@dataclass(frozen=True)
class CompressionBaseline:
    """Bits per UTF-8 byte of the validation text."""

    zlib_bits_per_byte: float  # alone, level 9
    lzma_bits_per_byte: float  # alone, preset 9 extreme
    lzma_primed_bits_per_byte: float  # after the training text: what of it repeats costs next to nothing


def compression_bits_per_byte(train_text: str, validation_text: str) -> CompressionBaseline:
    """Compress the validation text alone, and with lzma also as the continuation of the training text.

    Primed means size(train + validation) - size(train), with the last 16 MiB of the training text.
    Give both as `join_documents(...)`. Raises ValueError for an empty validation text.
    """
    validation = validation_text.encode("utf-8")
    if not validation:
        raise ValueError("the validation text is empty: bits per byte need at least one byte")
    train = train_text.encode("utf-8")[-PRIMING_BYTES:]
    alone = _lzma_size(validation)
    primed = _lzma_size(train + validation) - _lzma_size(train) if train else alone
    bits = 8 / len(validation)
    return CompressionBaseline(bits * len(zlib.compress(validation, 9)), bits * alone, bits * primed)


def _lzma_size(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
