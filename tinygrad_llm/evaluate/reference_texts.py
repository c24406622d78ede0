"""What the scores of written texts share: their input, the words they are cut into, and counts of n-grams.

A metric compares what a model wrote, the hypothesis, with what people wrote for the same input, its references. Its
value depends on where words begin and end, so scores can be compared only where the texts were cut in the same way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from .inputs import rows, same_length

Tokenize = Callable[[str], list[str]]

_PUNCTUATION = re.compile(r"""([{|}~\[\\\]^_`!"#$%&()*+:;<=>?@/])""")  # ASCII's, without ' , - .
_POINT_AFTER_NO_DIGIT = re.compile(r"([^0-9])([.,])")
_POINT_BEFORE_NO_DIGIT = re.compile(r"([.,])([^0-9])")
_DASH_AFTER_DIGIT = re.compile(r"([0-9])(-)")
_ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}

# Chinese characters and punctuation, blocks of Unicode 3 and 4. The first range begins at U+2001 instead of U+20000,
# which its four-digit escapes cannot say; that makes it take punctuation such as “ and … too, and leave out the rare
# characters of extension B. All published scores have been measured so.
_CHINESE = re.compile(
    "([\u2001-\u2a6d\u2e80-\u2fdf\u2ff0-\u303f\u3100-\u312f\u31a0-\u31ef\u3200-\u33ff\u3400-\u4db5\u4e00-\u9fbb"
    "\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef])"
)


def tokenize_13a(text: str) -> list[str]:
    """Words of a text in a Western language, as the script mteval-v13a.pl of NIST and sacrebleu's "13a" cut them.

    ASCII punctuation stands alone, but . and , stay inside numbers, ' stays, and - only leaves a digit before it. A
    hyphen at a line's end joins the lines, and the four entities &quot; &amp; &lt; &gt; are read.

    >>> tokenize_13a("It's 3.5 km, isn't it?")
    ["It's", '3.5', 'km', ',', "isn't", 'it', '?']
    """
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    return _western_words(f" {text} ")


def tokenize_zh(text: str) -> list[str]:
    """Every Chinese character and punctuation mark alone, all else as `tokenize_13a`: sacrebleu's "zh".

    >>> tokenize_zh("四千零二十一,4021 yuan.")
    ['四', '千', '零', '二', '十', '一', ',', '4021', 'yuan', '.']
    """
    return _western_words(_CHINESE.sub(r" \1 ", text.strip()))


def _western_words(text: str) -> list[str]:
    text = _PUNCTUATION.sub(r" \1 ", text)
    text = _POINT_AFTER_NO_DIGIT.sub(r"\1 \2 ", text)
    text = _POINT_BEFORE_NO_DIGIT.sub(r" \1 \2", text)
    return _DASH_AFTER_DIGIT.sub(r"\1 \2 ", text).split()


def ngram_counts(sequence: Sequence, n: int) -> Counter:
    """How often each n-gram stands in a string or a list of words.

    >>> ngram_counts("aaab", 2)
    Counter({'aa': 2, 'ab': 1})
    """
    if not isinstance(sequence, str):
        sequence = tuple(sequence)
    return Counter(sequence[i : i + n] for i in range(len(sequence) - n + 1))


def checked_texts(
    function: str, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> list[tuple[str, list[str]]]:
    """Each hypothesis with its references.

    Raises ValueError for no hypotheses, another number of lists of references, and a hypothesis without references;
    TypeError for a str in the place of a list, and where a text is no str.
    """
    hypotheses, references = rows(function, "hypotheses", hypotheses), rows(function, "references", references)
    same_length(function, hypotheses=hypotheses, references=references)
    return [checked_text(function, *example) for example in zip(hypotheses, references, strict=True)]


def checked_text(function: str, hypothesis: str, references: Sequence[str]) -> tuple[str, list[str]]:
    """One hypothesis and its references; raises as `checked_texts`."""
    if isinstance(references, str):
        raise TypeError(
            f"{function}: each hypothesis needs a list of references, got the str {references!r:.40}: put it in a list"
        )
    references = list(references)
    if not references:
        raise ValueError(f"{function}: the hypothesis {hypothesis!r:.40} has no reference to compare it with")
    for text in (hypothesis, *references):
        if not isinstance(text, str):
            raise TypeError(f"{function}: a text must be a str, got {type(text).__name__}: {text!r:.40}")
    return hypothesis, references
