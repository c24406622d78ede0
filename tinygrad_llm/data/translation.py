"""Translation without a download: pairs of number and date phrases, as many as wanted, each with its exact answer.

    rng = np.random.default_rng(0)
    number_pairs(0, 9999, 3, rng)            # Pair("four thousand and twenty-one", "四千零二十一", "number:4021"), …
    date_pairs(1900, 2099, 3, rng, "zh-en")  # Pair("二零二四年三月三日", "the third of March 2024", …), …

A direction names two forms: "en" and "zh" are words, "digits" are 4021 and 2024-03-03. So "en-zh" translates from
English to Chinese, and "digits-en" reads a number aloud.

Whether a model has learned the rule or its training pairs shows on values it has never seen. Each value belongs to one
part by a seeded hash of itself, whatever the direction and the order of drawing: about a tenth to "test", a tenth to
"validation", and the others to "train". Values from beyond the range of training, with more digits, ask for more: does
the rule carry on where no example went? `number_split` and `date_split` give all four.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from .clean import text_digest
from .columns import Pair
from .dates import DATE_FORMS, spell_chinese_date, spell_english_date
from .numerals import MAX_NUMBER, spell_chinese, spell_english

FORMS = ("en", "zh", "digits")
PARTS = ("train", "validation", "test")
HELD_OUT_SHARE = 0.1  # of the values: to validation, and as many to test
MAX_DRAWS = 10_000  # for one value of the part; more in vain mean that the range has none


@dataclass(frozen=True)
class TranslationSplit:
    """Pairs of four kinds; no value of one part stands in another.

    `train` may hold a value more than once, the other parts hold each value once.
    """

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]  # of the range of `train`
    beyond: list[Pair]  # from outside that range


def part_of(value: int | datetime.date, seed: int = 0) -> str:
    """The part of `PARTS` that a number or a date belongs to, always the same for one seed."""
    position = int.from_bytes(text_digest(str(value), seed)[:8], "little") / 2**64
    if position < HELD_OUT_SHARE:
        return "test"
    return "validation" if position < 2 * HELD_OUT_SHARE else "train"


def number_pairs(
    low: int,
    high: int,
    n: int,
    rng: np.random.Generator,
    direction: str = "en-zh",
    part: str | None = None,
    seed: int = 0,
    distinct: bool = False,
) -> list[Pair]:
    """`n` pairs of numbers from `low` to `high`, both included.

    Every number of digits in the range is as probable as any other, so short numbers are not drowned by long ones;
    among numbers with as many digits each is. With `part`, only values that `part_of(value, seed)` puts there. With
    `distinct`, each value once.

    Raises ValueError for a range outside 0 to 999,999,999,999 or without enough values, an unknown part or direction.
    """
    if not 0 <= low <= high <= MAX_NUMBER:
        raise ValueError(f"need 0 <= low <= high <= {MAX_NUMBER:,}, got low {low:,} and high {high:,}")
    source, target = _writers(direction, {"en": spell_english, "zh": spell_chinese, "digits": str})
    values = _draw(lambda: _draw_number(low, high, rng), n, part, seed, distinct, f"from {low:,} to {high:,}")
    return [Pair(source(value), target(value), f"number:{value}") for value in values]


def _draw_number(low: int, high: int, rng: np.random.Generator) -> int:
    n_digits = int(rng.integers(len(str(low)), len(str(high)) + 1))
    first = 10 ** (n_digits - 1) if n_digits > 1 else 0
    return int(rng.integers(max(low, first), min(high, 10**n_digits - 1) + 1))


def date_pairs(
    first_year: int,
    last_year: int,
    n: int,
    rng: np.random.Generator,
    direction: str = "en-zh",
    part: str | None = None,
    seed: int = 0,
    distinct: bool = False,
    weekdays: bool = False,
) -> list[Pair]:
    """`n` pairs of dates from the first day of `first_year` to the last of `last_year`; every day is as probable.

    An English source is in any of `DATE_FORMS`, an English answer always in the first of them. With `weekdays`, both
    have the weekday, but not in digits. The other arguments are those of `number_pairs`, and so is what is raised; the
    years must lie between 1000 and 9999.
    """
    if not 1000 <= first_year <= last_year <= 9999:
        raise ValueError(f"need 1000 <= first_year <= last_year <= 9999, got {first_year} and {last_year}")
    english = partial(spell_english_date, weekday=weekdays)
    chinese = partial(spell_chinese_date, weekday=weekdays)
    source, target = _writers(direction, {"en": english, "zh": chinese, "digits": str})
    first, last = datetime.date(first_year, 1, 1).toordinal(), datetime.date(last_year, 12, 31).toordinal()

    def draw() -> datetime.date:
        return datetime.date.fromordinal(int(rng.integers(first, last + 1)))

    dates = _draw(draw, n, part, seed, distinct, f"from {first_year} to {last_year}")
    if source is english:
        forms = [DATE_FORMS[i] for i in rng.integers(0, len(DATE_FORMS), n)]
        sources = [english(date, form) for date, form in zip(dates, forms, strict=True)]
    else:
        sources = [source(date) for date in dates]
    return [Pair(text, target(date), f"date:{date}") for text, date in zip(sources, dates, strict=True)]


def number_split(
    low: int = 0,
    high: int = 9999,
    beyond: int = 999_999,
    n_train: int = 10_000,
    n_held_out: int = 200,
    direction: str = "en-zh",
    seed: int = 0,
) -> TranslationSplit:
    """Training pairs from `low` to `high`, unseen ones of the same range, and others from `high + 1` to `beyond`.

    `n_held_out` pairs each in validation, test and beyond. Raises as `number_pairs`.
    """
    if not high < beyond:
        raise ValueError(f"beyond must be greater than high, {high:,}, got {beyond:,}")
    pairs_of = partial(number_pairs, direction=direction)
    return _split(pairs_of, (low, high), (high + 1, beyond), n_train, n_held_out, seed)


def date_split(
    first_year: int = 1900,
    last_year: int = 2099,
    beyond: int = 2199,
    n_train: int = 10_000,
    n_held_out: int = 200,
    direction: str = "en-zh",
    weekdays: bool = False,
    seed: int = 0,
) -> TranslationSplit:
    """As `number_split`, for the years from `first_year` to `last_year`, and those after them up to `beyond`."""
    if not last_year < beyond:
        raise ValueError(f"beyond must be a later year than last_year, {last_year}, got {beyond}")
    pairs_of = partial(date_pairs, direction=direction, weekdays=weekdays)
    return _split(pairs_of, (first_year, last_year), (last_year + 1, beyond), n_train, n_held_out, seed)


def _split(pairs_of: Callable[..., list[Pair]], inside, outside, n_train: int, n_held_out: int, seed: int):
    rng = np.random.default_rng(seed)
    return TranslationSplit(
        pairs_of(*inside, n_train, rng, part="train", seed=seed),
        pairs_of(*inside, n_held_out, rng, part="validation", seed=seed, distinct=True),
        pairs_of(*inside, n_held_out, rng, part="test", seed=seed, distinct=True),
        pairs_of(*outside, n_held_out, rng, distinct=True),
    )


def _draw(draw: Callable[[], object], n: int, part: str | None, seed: int, distinct: bool, where: str) -> list:
    """`n` values that `draw` gives and that belong to `part`."""
    if part is not None and part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, or None for all values, got {part!r}")
    values, seen, in_vain = [], set(), 0
    while len(values) < n:
        value = draw()
        if (distinct and value in seen) or (part is not None and part_of(value, seed) != part):
            in_vain += 1
            if in_vain == MAX_DRAWS:
                whose = f" of the {part} part" if part else ""
                raise ValueError(
                    f"found {len(values):,} of {n:,} {'distinct ' * distinct}values{whose} {where}, and "
                    f"{MAX_DRAWS:,} more draws gave no new one: ask for fewer, or widen the range"
                )
            continue
        in_vain = 0
        seen.add(value)
        values.append(value)
    return values


def _writers(direction: str, forms: dict[str, Callable]) -> tuple[Callable, Callable]:
    source, _, target = direction.partition("-")
    if source not in FORMS or target not in FORMS or source == target:
        raise ValueError(
            f"direction must be two different ones of {', '.join(FORMS)}, such as 'en-zh', got {direction!r}"
        )
    return forms[source], forms[target]
