"""Numbers and dates in words: what is standard, the way back, and parts that share no value."""

import datetime
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data import (
    Pair,
    date_pairs,
    date_split,
    number_pairs,
    number_split,
    parse_chinese,
    parse_chinese_date,
    parse_english,
    parse_english_date,
    spell_chinese,
    spell_chinese_date,
    spell_english,
    spell_english_date,
)
from tinygrad_llm.data.dates import DATE_FORMS
from tinygrad_llm.data.translation import part_of

LARGEST = 10**12 - 1
ROUND = st.builds(lambda digits, zeros: int(f"{digits}{'0' * zeros}"), st.integers(0, 999), st.integers(0, 9))
NUMBERS = st.integers(0, LARGEST) | st.integers(0, 99_999) | st.lists(ROUND, min_size=1, max_size=3).map(sum)
DATES = st.dates(datetime.date(1000, 1, 1), datetime.date(9999, 12, 31))

SPELLED = [
    (0, "zero", "零"),
    (7, "seven", "七"),
    (10, "ten", "十"),
    (12, "twelve", "十二"),
    (20, "twenty", "二十"),
    (99, "ninety-nine", "九十九"),
    (100, "one hundred", "一百"),
    (105, "one hundred and five", "一百零五"),
    (110, "one hundred and ten", "一百一十"),
    (222, "two hundred and twenty-two", "二百二十二"),
    (1_000, "one thousand", "一千"),
    (1_001, "one thousand and one", "一千零一"),
    (1_010, "one thousand and ten", "一千零一十"),
    (1_100, "one thousand one hundred", "一千一百"),
    (4_021, "four thousand and twenty-one", "四千零二十一"),
    (10_000, "ten thousand", "一万"),
    (10_500, "ten thousand five hundred", "一万零五百"),
    (100_000, "one hundred thousand", "十万"),
    (120_000, "one hundred and twenty thousand", "十二万"),
    (200_100, "two hundred thousand one hundred", "二十万零一百"),
    (201_000, "two hundred and one thousand", "二十万一千"),
    (1_000_105, "one million one hundred and five", "一百万零一百零五"),
    (20_304_050, "twenty million three hundred and four thousand and fifty", "二千零三十万四千零五十"),
    (100_000_010, "one hundred million and ten", "一亿零一十"),
    (100_001_000, "one hundred million one thousand", "一亿零一千"),
    (100_100_000, "one hundred million one hundred thousand", "一亿零一十万"),
    (1_200_000_000, "one billion two hundred million", "十二亿"),
    (10_0000_0000 + 5, "one billion and five", "十亿零五"),
]


@pytest.mark.parametrize(("number", "english", "chinese"), SPELLED)
def test_standard_forms(number, english, chinese):
    assert (spell_english(number), spell_chinese(number)) == (english, chinese)
    assert (parse_english(english), parse_chinese(chinese)) == (number, number)


@given(NUMBERS.filter(lambda n: n <= LARGEST))
def test_every_number_comes_back(number):
    assert parse_english(spell_english(number)) == number
    assert parse_chinese(spell_chinese(number)) == number
    assert parse_chinese(re.sub("二(?=[百千万亿])", "两", spell_chinese(number)).replace("零", "〇")) == number


@given(NUMBERS.filter(lambda n: n <= LARGEST))
def test_zeros_are_read_once(number):
    """The rules of 零, from the digits: none at the ends of the text or before a place, and never two in a row."""
    text = spell_chinese(number)
    assert number == 0 or not (text.startswith("零") or text.endswith("零"))
    assert not re.search("零[零十百千万亿]", text)
    assert len(re.findall("[一二三四五六七八九]", text)) + text.startswith("十") == sum(d != "0" for d in str(number))


NO_ENGLISH_NUMBERS = [
    "", "two two", "twenty hundred", "one hundred five", "four thousand and one hundred", "and one", "One",
    "sixty  one", "thousand", "one thousand million", "one trillion", "twenty one", "zero hundred", "one hundred and",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_ENGLISH_NUMBERS)
def test_what_is_no_english_number(text):
    with pytest.raises(ValueError, match="is no number in English words"):
        parse_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "一十",
        "一百五",
        "一千零零一",
        "一百零十",
        "万",
        "二二",
        "两",
        "二十两",
        "一百一",
        "12",
        "一千零百",
        "一万亿",
    ],
)
def test_what_is_no_chinese_number(text):
    with pytest.raises(ValueError, match="is no number in Chinese words"):
        parse_chinese(text)


def test_numbers_that_cannot_be_spelled():
    for spell in (spell_english, spell_chinese):
        for number in (-1, LARGEST + 1):
            with pytest.raises(ValueError, match=r"must lie between 0 and 999,999,999,999, got -?1"):
                spell(number)
        for number in (1.0, "1", True, None):
            with pytest.raises(TypeError, match="the number must be an int, got"):
                spell(number)
        assert spell(np.int64(7)) == spell(7)


def test_dates_in_words():
    date = datetime.date(2024, 3, 3)
    texts = ["the third of March 2024", "March the third, 2024", "3 March 2024", "March 3, 2024"]
    assert [spell_english_date(date, form) for form in DATE_FORMS] == texts
    assert spell_chinese_date(date) == "二零二四年三月三日"
    date = datetime.date(1900, 12, 31)
    assert spell_english_date(date, weekday=True) == "Monday, the thirty-first of December 1900"
    assert spell_chinese_date(date, weekday=True) == "一九零零年十二月三十一日星期一"
    for day, ordinal in ((8, "eighth"), (9, "ninth"), (12, "twelfth"), (20, "twentieth"), (22, "twenty-second")):
        assert spell_english_date(datetime.date(1999, 5, day)) == f"the {ordinal} of May 1999"


@given(DATES, st.sampled_from(DATE_FORMS), st.booleans())
def test_every_date_comes_back(date, form, weekday):
    english, chinese = spell_english_date(date, form, weekday), spell_chinese_date(date, weekday)
    assert parse_english_date(english) == parse_chinese_date(chinese) == date
    assert parse_chinese_date(chinese.replace("零", "〇")) == date
    if form in ("day", "american"):  # Python's own calendar reads these
        written = "%d %B %Y" if form == "day" else "%B %d, %Y"
        assert datetime.datetime.strptime(english, "%A, " * weekday + written).date() == date
        assert not weekday or english.startswith(date.strftime("%A"))


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_english_date, "the third of Marc 2024", "is no English date such as"),
        (parse_english_date, "the twenty-ninth of February 2023", "the calendar has no such day"),
        (parse_english_date, "0 March 2024", "is no English date"),
        (parse_english_date, "31 April 2024", "the calendar has no such day"),
        (parse_english_date, "Monday, 3 March 2024", "that day is a Sunday"),
        (parse_chinese_date, "二零二四年三月三", "is no Chinese date such as"),
        (parse_chinese_date, "二零二四年十三月三日", "the calendar has no such day"),
        (parse_chinese_date, "二零二四年三月三日星期一", "that day is a Sunday"),
        (parse_chinese_date, "二零二四年三月一十日", "is no number in Chinese words"),
        (parse_chinese_date, "零九二四年三月三日", "four digits, from 1000 to 9999"),
        (lambda text: spell_english_date(datetime.date(999, 1, 1), text), "day", "four digits, from 1000"),
        (lambda text: spell_english_date(datetime.date(1999, 1, 1), text), "iso", "form must be one of ordinal, month"),
    ],
)
def test_what_is_no_date(parse, text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


READ = {"en": parse_english, "zh": parse_chinese, "digits": int}
READ_DATE = {"en": parse_english_date, "zh": parse_chinese_date, "digits": datetime.date.fromisoformat}
DIRECTIONS = [f"{one}-{other}" for one in READ for other in READ if one != other]


@given(st.sampled_from(DIRECTIONS), st.integers(0, LARGEST), st.integers(0, LARGEST), st.integers(0, 99))
def test_both_sides_of_a_number_are_the_same_number(direction, one, other, seed):
    low, high = sorted((one, other))
    pairs = number_pairs(low, high, 5, np.random.default_rng(seed), direction)
    assert pairs == number_pairs(low, high, 5, np.random.default_rng(seed), direction)
    source, target = direction.split("-")
    for pair in pairs:
        value = int(pair.origin.removeprefix("number:"))
        assert low <= value <= high
        assert READ[source](pair.source) == READ[target](pair.target) == value


@pytest.mark.parametrize("weekdays", [False, True])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_both_sides_of_a_date_are_the_same_date(direction, weekdays):
    pairs = date_pairs(1996, 2004, 60, np.random.default_rng(0), direction, weekdays=weekdays)
    source, target = direction.split("-")
    for pair in pairs:
        date = datetime.date.fromisoformat(pair.origin.removeprefix("date:"))
        assert READ_DATE[source](pair.source) == READ_DATE[target](pair.target) == date
        assert 1996 <= date.year <= 2004
        assert target != "en" or pair.target == spell_english_date(date, weekday=weekdays)  # one right answer
    if source == "en":  # in all of its forms
        dates = [READ_DATE[target](pair.target) for pair in pairs]
        forms = [
            form
            for date, pair in zip(dates, pairs, strict=True)
            for form in DATE_FORMS
            if pair.source == spell_english_date(date, form, weekdays)
        ]
        assert set(forms) == set(DATE_FORMS)


def test_lengths_are_drawn_evenly():
    pairs = number_pairs(0, 999_999, 6_000, np.random.default_rng(0), "digits-zh")
    counts = Counter(len(pair.source) for pair in pairs)
    assert sorted(counts) == [1, 2, 3, 4, 5, 6]
    assert all(abs(count - 1_000) < 5 * (6_000 * 1 / 6 * 5 / 6) ** 0.5 for count in counts.values())
    assert {pair.source for pair in pairs if len(pair.source) == 1} == set("0123456789")
    assert {pair.source for pair in number_pairs(95, 103, 300, np.random.default_rng(0), "digits-zh")} == {
        str(n) for n in range(95, 104)
    }


def values_of(pairs):
    return {pair.origin for pair in pairs}


@pytest.mark.parametrize("split", [number_split(n_train=3000), date_split(n_train=3000, weekdays=True)])
def test_no_value_stands_in_two_parts(split):
    parts = [split.train, split.validation, split.test, split.beyond]
    assert [len(part) for part in parts] == [3000, 200, 200, 200]
    assert all(len(values_of(part)) == 200 for part in parts[1:])
    assert sum(len(values_of(part)) for part in parts) == len(set().union(*map(values_of, parts)))


def test_what_lies_beyond():
    split = number_split(0, 99, 9_999, 500, 5, seed=1)
    assert max(int(origin[7:]) for origin in values_of(split.train + split.validation + split.test)) <= 99
    assert all(100 <= int(origin[7:]) <= 9_999 for origin in values_of(split.beyond))
    split = date_split(1990, 1999, 2001, 500, 20)
    assert all(origin[5:9] in ("2000", "2001") for origin in values_of(split.beyond))
    assert number_split(n_train=50, direction="zh-en").test[0].source[0] in "一二三四五六七八九十"
    for seed in (0, 1):
        assert number_split(n_train=50, seed=seed) == number_split(n_train=50, seed=seed)
    assert number_split(n_train=50, seed=1) != number_split(n_train=50, seed=0)


def test_parts_are_a_tenth_each_and_do_not_depend_on_the_direction():
    counts = Counter(part_of(n) for n in range(10_000))
    assert all(abs(counts[part] - 1_000) < 5 * 30 for part in ("validation", "test"))
    rng = np.random.default_rng(0)
    for direction in DIRECTIONS:
        for part in ("train", "validation", "test"):
            pairs = number_pairs(0, 9_999, 20, rng, direction, part, seed=3)
            assert {part_of(int(pair.origin[7:]), 3) for pair in pairs} == {part}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda rng: number_pairs(5, 4, 1, rng), "need 0 <= low <= high <= 999,999,999,999, got low 5 and high 4"),
        (lambda rng: number_pairs(-1, 4, 1, rng), "got low -1 and high 4"),
        (lambda rng: number_pairs(0, LARGEST + 1, 1, rng), "got low 0 and high 1,000,000,000,000"),
        (lambda rng: number_pairs(0, 9, 1, rng, "en-fr"), "direction must be two different ones of en, zh, digits"),
        (lambda rng: number_pairs(0, 9, 1, rng, "en-en"), "direction must be two different ones"),
        (lambda rng: number_pairs(0, 9, 1, rng, part="dev"), "part must be one of train, validation, test"),
        (lambda rng: number_pairs(0, 9, 11, rng, distinct=True), "found 10 of 11 distinct values from 0 to 9"),
        (lambda rng: number_pairs(1, 1, 1, rng, part="test"), "found 0 of 1 values of the test part from 1 to 1"),
        (lambda rng: date_pairs(999, 2000, 1, rng), "need 1000 <= first_year <= last_year <= 9999, got 999 and 2000"),
        (lambda rng: number_split(0, 99, 99), "beyond must be greater than high, 99, got 99"),
        (lambda rng: date_split(1990, 1999, 1999), "beyond must be a later year than last_year, 1999, got 1999"),
    ],
)
def test_what_cannot_be_made(make, message):
    with pytest.raises(ValueError, match=message):
        make(np.random.default_rng(0))


def test_a_pair_as_it_is():
    pair = number_pairs(4021, 4021, 1, np.random.default_rng(0))[0]
    assert pair == Pair("four thousand and twenty-one", "四千零二十一", "number:4021")
    pair = date_pairs(2024, 2024, 1, np.random.default_rng(0), "zh-en")[0]
    assert pair.target == spell_english_date(parse_chinese_date(pair.source))
