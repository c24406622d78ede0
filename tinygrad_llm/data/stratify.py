"""Examples in three parts: to train on, to choose between models by, and to test the chosen one once.

What must not be torn apart is a block: examples with the same or nearly the same text, with the same context, of the
same group. A score on texts the model has trained on measures memory.

Blocks are dealt out one by one, the largest first. With the wanted count t[p, c] of class c in part p, the count
n[p, c] so far and a block of b[c] examples, the block goes where the distance to what is wanted shrinks most,

    Σ_c ((n[p, c] + b[c] - t[p, c])² - (n[p, c] - t[p, c])²) / N_c        the smallest over the parts p

where N_c examples have class c. With single examples this comes to within one of every wanted count. Every part gets
some of every class: the last blocks that hold it go to the parts without.

Source: K. Sechidis and others, "On the Stratification of Multi-Label Data" (2011), section 3: the most wanted first.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from .blocks import Blocks
from .clean import normalize, text_digest
from .examples import Example, SpanExample, counted

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class ExampleSplit:
    """The three parts, each in the order of the examples."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]


def split_examples(
    examples: Sequence[Example],
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    stratify: Callable[[Example], Hashable] | None = None,
    group: Callable[[Example], Hashable] | None = None,
    near_duplicate_threshold: float | None = 0.8,
) -> ExampleSplit:
    """Split into train, validation and test, about `fractions` of the examples; a part with fraction 0 stays empty.

    - `stratify=label_of`: each class gets these fractions too, and at least one example in each part. Numbers need a
      function that rounds them to a few classes.
    - `group=module_of`, or any function of an example: no group stands in two parts.
    - Questions about one context stay together. So do texts whose estimated Jaccard similarity is at least
      `near_duplicate_threshold` (see `NearDuplicates`); with None, only equal ones.

    The choice depends on the texts and the seed, not on where an example stands. Where blocks are large, the fractions
    are met as well as they allow.

    Raises ValueError for fractions that are not three shares of 1, and where there are too few blocks, of all examples
    or of a class, for each part to have one.
    """
    _require_shares(fractions)
    examples = list(examples)
    if not examples:
        raise ValueError("there are no examples to split")
    blocks = _blocks(examples, group, near_duplicate_threshold)
    classes = ["" if stratify is None else stratify(example) for example in examples]
    names = _class_names(classes, sum(fraction > 0 for fraction in fractions))
    number_of = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(blocks), len(names)))  # (blocks, classes)
    for block, members in enumerate(blocks):
        for index in members:
            counts[block, number_of[classes[index]]] += 1
    digests = [min(text_digest(normalize(_key_text(examples[index])), seed) for index in each) for each in blocks]
    order = sorted(range(len(blocks)), key=lambda block: (-len(blocks[block]), digests[block]))
    part_of_block = _deal(counts, order, fractions)
    _require_all(part_of_block, counts, names, fractions)
    part_of = {index: part for members, part in zip(blocks, part_of_block, strict=True) for index in members}
    return ExampleSplit(*([each for index, each in enumerate(examples) if part_of[index] == p] for p in range(3)))


def _require_shares(fractions: tuple[float, float, float]) -> None:
    shares = len(fractions) == len(PARTS) and all(0 <= fraction <= 1 for fraction in fractions) and fractions[0] > 0
    if not shares or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"fractions must be the shares of train, validation and test, which add up to 1, got {fractions}; "
            "a part may have 0, but not train"
        )


def _class_names(classes: list[Hashable], n_parts: int) -> list[Hashable]:
    """Each class once, in an order that does not depend on the examples'."""
    counts = Counter(classes)
    name, n = min(counts.items(), key=lambda item: item[1])
    if n < n_parts and len(counts) > 1:
        raise ValueError(
            f"class {name!r} has {counted(n, 'example')}, too few for {n_parts} parts: give more examples, leave the "
            "class out, or stratify by a function that puts several classes together"
        )
    return sorted(counts, key=repr)


def _deal(counts: np.ndarray, order: list[int], fractions: tuple[float, ...]) -> list[int]:
    """The part of each block, from `counts` (blocks, classes)."""
    totals = counts.sum(axis=0)  # (classes,)
    parts = np.flatnonzero(np.array(fractions) > 0)
    wanted = np.zeros((len(fractions), len(totals)))  # (parts, classes)
    wanted[parts] = np.maximum(np.array(fractions)[parts, None] * totals, 1)
    wanted[int(np.argmax(fractions))] -= wanted.sum(axis=0) - totals  # the largest part pays for what others got on top
    dealt = np.zeros_like(wanted)
    n_left = np.count_nonzero(counts, axis=0)  # blocks that hold the class
    part_of_block = [0] * len(order)
    for block in order:
        lacking = (dealt[parts] == 0) & (counts[block] > 0)  # (parts, classes)
        urgent = lacking[:, lacking.sum(axis=0) >= n_left].any(axis=1)  # the last blocks go where the class is missing
        change = (counts[block] * (counts[block] + 2 * (dealt - wanted)) / totals).sum(axis=1)  # (parts,)
        part = min(parts[urgent] if urgent.any() else parts, key=change.__getitem__)
        part_of_block[block] = int(part)
        dealt[part] += counts[block]
        n_left -= counts[block] > 0
    return part_of_block


def _require_all(part_of_block: list[int], counts: np.ndarray, names: list, fractions: tuple[float, ...]) -> None:
    for number, name in enumerate(names):
        blocks = np.flatnonzero(counts[:, number])
        present = {part_of_block[block] for block in blocks}
        missing = [PARTS[part] for part in np.flatnonzero(fractions) if part not in present]
        if missing:
            whose = f"of class {name!r} " if len(names) > 1 else ""
            raise ValueError(
                f"no example {whose}is left for {' and '.join(missing)}: the {int(counts[:, number].sum())} there are "
                f"make {counted(len(blocks), 'block')} that must stay together (copies, near-duplicates, groups); give "
                "more examples or smaller groups"
            )


def _key_text(example: Example) -> str:
    """What must not stand in two parts."""
    if isinstance(example, SpanExample):
        return example.context
    return example.text if example.pair is None else f"{example.text}\n{example.pair}"


def _blocks(
    examples: list[Example], group: Callable[[Example], Hashable] | None, threshold: float | None
) -> list[list[int]]:
    """The indices of examples that stay together, block by block."""
    texts = [_key_text(example) for example in examples]
    blocks = Blocks(len(examples))
    blocks.join_equal([" ".join(text.lower().split()) for text in texts])
    if group is not None:
        blocks.join_equal([group(example) for example in examples])
    if threshold is not None:
        blocks.join_similar(texts, threshold)
    return blocks.members()
