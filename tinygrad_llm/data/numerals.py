"""Whole numbers in English and in Chinese words, and back: the exact answers of a small translation task.

| number      | English                                | Chinese      |
| ----------- | -------------------------------------- | ------------ |
| 12          | twelve                                 | 十二         |
| 105         | one hundred and five                   | 一百零五     |
| 4,021       | four thousand and twenty-one           | 四千零二十一 |
| 200,100     | two hundred thousand one hundred       | 二十万零一百 |
| 100,000,010 | one hundred million and ten            | 一亿零一十   |

English has a name for every third power of ten, Chinese for every fourth (万 is 10⁴, 亿 10⁸), so the groups of digits
differ, and a translator has to regroup them. Each number has one standard form in each language.

English, as in Britain: a hyphen in 21 to 99; "and" after the hundreds of a group, and before a last group below 100.

Chinese, as schools teach to read numbers aloud:

- 零 stands once for any row of zeros between two digits inside a group of four. Zeros at the end of a group are not
  read: 201,000 is 二十万一千. A later group below 1000 has 零 before it (200,100), and so has one after an empty group:
  100,001,000 is 一亿零一千.
- 10 to 19 at the very beginning start with 十; everywhere else with 一十: 十二, 十万, but 一百一十二.
- 2 is 二 everywhere. Speech prefers 两 before 千, 万 and 亿, and either of them before 百: `parse_chinese` takes both.

Sources: GB/T 15835-2011, "General rules for writing numerals in publications"; R. Quirk and others, "A Comprehensive
Grammar of the English Language" (1985), section 6.63.
"""

import re

MAX_NUMBER = 10**12 - 1

UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ("", "thousand", "million", "billion")  # powers of 1000

DIGITS = "零一二三四五六七八九"
PLACES = ("", "十", "百", "千")  # inside a group of four
GROUPS = ("", "万", "亿")  # powers of 10,000

_ENGLISH_VALUES = {word: n for n, word in enumerate(UNITS)} | {word: 10 * n for n, word in enumerate(TENS) if word}
_CHINESE_DIGITS = {digit: n for n, digit in enumerate(DIGITS)}
_CHINESE_PLACES = {place: 10**n for n, place in enumerate(PLACES) if place}


def spell_english(n: int) -> str:
    """The number in English words.

    >>> spell_english(4021), spell_english(1_000_105)
    ('four thousand and twenty-one', 'one million one hundred and five')

    Raises ValueError for a number outside 0 to 999,999,999,999, TypeError for what is no whole number.
    """
    n = _checked("spell_english", n)
    if n == 0:
        return UNITS[0]
    words = []
    for power, scale in reversed(list(enumerate(SCALES))):
        group = n // 1000**power % 1000
        if group:
            joined = ["and"] if power == 0 and group < 100 and n >= 1000 else []
            words += [*joined, _below_thousand(group), *([scale] if scale else [])]
    return " ".join(words)


def _below_thousand(n: int) -> str:
    hundreds, rest = divmod(n, 100)
    words = [UNITS[hundreds], "hundred"] if hundreds else []
    if hundreds and rest:
        words.append("and")
    if rest:
        words.append(UNITS[rest] if rest < 20 else TENS[rest // 10] + (f"-{UNITS[rest % 10]}" if rest % 10 else ""))
    return " ".join(words)


def parse_english(text: str) -> int:
    """The number that `spell_english` spells so.

    >>> parse_english("four thousand and twenty-one")
    4021

    Raises ValueError for all other texts.
    """
    total = group = 0
    for word in re.split("[ -]", text):
        if word in _ENGLISH_VALUES:
            group += _ENGLISH_VALUES[word]
        elif word == "hundred":
            group *= 100
        elif word in SCALES[1:]:
            total, group = total + group * 1000 ** SCALES.index(word), 0
        elif word != "and":
            raise ValueError(f"{text!r:.80} is no number in English words: {word!r} does not belong into one")
    return _same(text, text, total + group, spell_english, "English")


def spell_chinese(n: int) -> str:
    """The number in Chinese words.

    >>> spell_chinese(4021), spell_chinese(12), spell_chinese(100_001_000)
    ('四千零二十一', '十二', '一亿零一千')

    Raises as `spell_english`.
    """
    n = _checked("spell_chinese", n)
    if n == 0:
        return DIGITS[0]
    text, empty_before = "", False
    for power, name in reversed(list(enumerate(GROUPS))):
        group = n // 10_000**power % 10_000
        if group:
            zero = DIGITS[0] if text and (group < 1000 or empty_before) else ""
            text += zero + _below_ten_thousand(group) + name
        empty_before = group == 0
    return text.removeprefix("一") if text.startswith("一十") else text


def _below_ten_thousand(n: int) -> str:
    text, zeros = "", False
    for power, place in reversed(list(enumerate(PLACES))):
        digit = n // 10**power % 10
        if digit:
            text += (DIGITS[0] if zeros and text else "") + DIGITS[digit] + place
        zeros = digit == 0
    return text


def parse_chinese(text: str) -> int:
    """The number that `spell_chinese` spells so; 两 may stand for 二 before 百, 千, 万 and 亿, and 〇 for 零.

    >>> parse_chinese("四千零二十一"), parse_chinese("两千")
    (4021, 2000)

    Raises ValueError for all other texts.
    """
    standard = re.sub("两(?=[百千万亿])", "二", text).replace("〇", DIGITS[0])
    total = group = 0
    digit: int | None = None  # the one that waits for its place
    for character in standard:
        if character in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[character]
        elif character in _CHINESE_PLACES:
            group, digit = group + (1 if digit is None else digit) * _CHINESE_PLACES[character], None
        elif character in GROUPS[1:]:
            total, group = total + (group + (digit or 0)) * 10_000 ** GROUPS.index(character), 0
            digit = None
        else:
            raise ValueError(f"{text!r:.80} is no number in Chinese words: {character!r} does not belong into one")
    return _same(text, standard, total + group + (digit or 0), spell_chinese, "Chinese")


def _same(text: str, standard: str, n: int, spell, language: str) -> int:
    """`n`, if it is spelled so: reading alone would also take what is no number, such as "two two"."""
    if n > MAX_NUMBER or spell(n) != standard:
        meant = f"; {spell(n)!r} would be one" if n <= MAX_NUMBER else f": the greatest is {MAX_NUMBER:,}"
        raise ValueError(f"{text!r:.80} is no number in {language} words{meant}")
    return n


def _checked(function: str, n: int) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"{function}: the number must be an int, got {type(n).__name__}: {n!r:.40}")
    n = int(n)
    if not 0 <= n <= MAX_NUMBER:
        raise ValueError(f"{function}: the number must lie between 0 and {MAX_NUMBER:,}, got {n:,}")
    return n
