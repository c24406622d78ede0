"""Plausible wrong answers to the exercises of lesson 08."""

from collections import Counter
from itertools import pairwise


def best_pair__counts_words_once(word_counts):
    """Forgets how often each word occurs."""
    counts = Counter(pair for word in word_counts for pair in pairwise(word))
    return min(counts, key=lambda pair: (-counts[pair], pair))


def best_pair__first_of_equals(word_counts):
    """Of equally frequent pairs the one met first."""
    counts = Counter()
    for word, count in word_counts.items():
        for pair in pairwise(word):
            counts[pair] += count
    return counts.most_common(1)[0][0]


def best_pair__once_a_word(word_counts):
    """A pair that stands twice in a word counts once."""
    counts = Counter()
    for word, count in word_counts.items():
        for pair in set(pairwise(word)):
            counts[pair] += count
    return min(counts, key=lambda pair: (-counts[pair], pair))


def whole_characters__replaces(received):
    """Shows a replacement character for what is cut."""
    return received.decode("utf-8", errors="replace"), b""


def whole_characters__forgets_the_rest(received):
    """The text is right, the waiting bytes are lost."""
    return received.decode("utf-8", errors="ignore"), b""


def whole_characters__waits_for_one(received):
    """Only the last byte waits, whatever the character."""
    try:
        return received.decode("utf-8"), b""
    except UnicodeDecodeError:
        return received[:-1].decode("utf-8", errors="ignore"), received[-1:]


def whole_characters__strips_every_non_ascii_end(received):
    """Whole characters of several bytes wait, too."""
    stop = len(received)
    while stop and received[stop - 1] >= 0x80:
        stop -= 1
    return received[:stop].decode("utf-8"), received[stop:]


def apply_merges__each_merge_at_one_place(word, merges):
    """Each merge in order, but only where it is possible first."""
    tokens = list(word)
    for pair in merges:
        places = [place for place, neighbours in enumerate(pairwise(tokens)) if neighbours == pair]
        if places:
            tokens[places[0] : places[0] + 2] = ["".join(pair)]
    return tokens


def apply_merges__leftmost_first(word, merges):
    """The leftmost possible merge, whenever it was learned."""
    tokens, place = list(word), 0
    while place < len(tokens) - 1:
        if (tokens[place], tokens[place + 1]) in merges:
            tokens[place : place + 2] = [tokens[place] + tokens[place + 1]]
            place = 0
        else:
            place += 1
    return tokens


def apply_merges__longest_token_first(word, merges):
    """Greedy: the longest token that fits."""
    vocabulary, tokens, start = {left + right for left, right in merges}, [], 0
    while start < len(word):
        fitting = [stop for stop in range(start + 2, len(word) + 1) if word[start:stop] in vocabulary]
        stop = fitting[-1] if fitting else start + 1
        tokens.append(word[start:stop])
        start = stop
    return tokens


def longest_match__shortest_first(word, vocabulary):
    """Takes the shortest piece that fits."""
    pieces, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        for stop in range(start + 1, len(word) + 1):
            if prefix + word[start:stop] in vocabulary:
                break
        else:
            return ["[UNK]"]
        pieces.append(prefix + word[start:stop])
        start = stop
    return pieces


def longest_match__keeps_the_known_part(word, vocabulary):
    """Only the rest of the word is unknown."""
    pieces, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        fitting = [stop for stop in range(start + 1, len(word) + 1) if prefix + word[start:stop] in vocabulary]
        if not fitting:
            return [*pieces, "[UNK]"]
        pieces.append(prefix + word[start : fitting[-1]])
        start = fitting[-1]
    return pieces


def longest_match__ignores_the_marks(word, vocabulary):
    """Looks every piece up without ##."""
    pieces, start = [], 0
    while start < len(word):
        fitting = [stop for stop in range(start + 1, len(word) + 1) if word[start:stop] in vocabulary]
        if not fitting:
            return ["[UNK]"]
        pieces.append(("##" if start else "") + word[start : fitting[-1]])
        start = fitting[-1]
    return pieces


def longest_match__goes_back(word, vocabulary, start=0):
    """Finds a way wherever there is one."""
    if start == len(word):
        return []
    prefix = "##" if start else ""
    for stop in range(len(word), start, -1):
        if prefix + word[start:stop] in vocabulary:
            rest = longest_match__goes_back(word, vocabulary, stop)
            if rest != ["[UNK]"]:
                return [prefix + word[start:stop], *rest]
    return ["[UNK]"]
