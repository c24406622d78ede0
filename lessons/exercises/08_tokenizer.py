"""Exercises of lesson 08. Check your answers with `tinygrad-llm check 08`."""


def best_pair(word_counts: dict[tuple[int, ...], int]) -> tuple[int, int]:
    """The pair of neighbouring ids that occurs most often: the next merge of byte-pair encoding.

    `word_counts` maps each different word, a tuple of ids, to the number of times it occurs in the text. So the text
    itself need not be walked: a pair in a word that occurs n times occurs n times.
    Of pairs that occur equally often, take the smallest (as Python compares tuples). There is at least one pair.

        best_pair({(1, 2, 3): 5, (2, 3): 2}) == (2, 3)        # 7 times; (1, 2) only 5 times
    """
    raise NotImplementedError


def whole_characters(received: bytes) -> tuple[str, bytes]:
    """The text that can be shown already, and the bytes that have to wait for more.

    A model writes token by token, and a token may end inside of a character. `received` is the beginning of a text in
    UTF-8, cut off at any byte. Split it into the whole characters, decoded, and the bytes of the one that is cut.

        whole_characters("né".encode()) == ("né", b"")
        whole_characters("né".encode()[:2]) == ("n", b"\\xc3")

    In UTF-8 the first byte of a character says how many bytes it has: 0xxxxxxx one, 110xxxxx two, 1110xxxx three,
    11110xxx four. All other bytes of a character begin with 10.
    """
    raise NotImplementedError


def apply_merges(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """The tokens of a word in byte-pair encoding, with letters in place of bytes.

    Begin with single letters. Of all merges that are possible in the row, the one that was learned first goes first;
    where it is possible at several places, the leftmost. Repeat until none is possible. `merges` is in the order in
    which they were learned, so what a merge joins is a letter or was made by an earlier one.

        apply_merges("lowest", [("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w")]) == ["low", "est"]
        apply_merges("abc", [("b", "c"), ("a", "b")]) == ["a", "bc"]
    """
    raise NotImplementedError


def longest_match(word: str, vocabulary: set[str]) -> list[str]:
    """The pieces of a word in WordPiece: at each place the longest one in the vocabulary, from left to right.

    A piece that continues a word is written in the vocabulary, and in the result, with "##" before it. Where no piece
    fits at some place, the whole word is unknown: the result is ["[UNK]"]. The word has at least one character.

        longest_match("unaffable", {"un", "##aff", "##able"}) == ["un", "##aff", "##able"]
        longest_match("unaffable", {"un", "##aff"}) == ["[UNK]"]
    """
    raise NotImplementedError
