"""Dates in English and in Chinese words, and back.

| form       | the third of March 2024, a Sunday           |
| ---------- | ------------------------------------------- |
| "ordinal"  | the third of March 2024                     |
| "month"    | March the third, 2024                       |
| "day"      | 3 March 2024                                |
| "american" | March 3, 2024                               |
| Chinese    | 二零二四年三月三日, with its weekday 二零二四年三月三日星期日 |

English has several ways to write one date; where it is the answer, "ordinal" is the only right one. Chinese writes a
year digit by digit and month and day as numbers. The zero of a year is 零 here, as in numbers; print often has 〇, and
`parse_chinese_date` takes both. Weekdays are the calendar's: English has them in front (Sunday, …), Chinese at the end.
"""

import datetime
import re

from .numerals import DIGITS, UNITS, parse_chinese, spell_chinese

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CHINESE_WEEKDAYS = "一二三四五六日"
DATE_FORMS = ("ordinal", "month", "day", "american")

_IRREGULAR = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
              "twelve": "twelfth"}  # fmt: skip
_TEENS = [_IRREGULAR.get(unit, f"{unit}th") for unit in UNITS[:20]]
ORDINALS = [*_TEENS, "twentieth", *(f"twenty-{each}" for each in _TEENS[1:10]), "thirtieth", "thirty-first"]

_MONTH, _ORDINAL = f"(?P<month>{'|'.join(MONTHS)})", f"(?P<ordinal>{'|'.join(sorted(ORDINALS[1:], key=len)[::-1])})"
_DAY, _YEAR = r"(?P<day>[1-9][0-9]?)", r"(?P<year>[1-9][0-9]{3})"
_ENGLISH = [
    re.compile(rf"((?P<weekday>{'|'.join(WEEKDAYS)}), )?{form}")
    for form in (f"the {_ORDINAL} of {_MONTH} {_YEAR}", f"{_MONTH} the {_ORDINAL}, {_YEAR}", f"{_DAY} {_MONTH} {_YEAR}",
                 f"{_MONTH} {_DAY}, {_YEAR}")
]  # fmt: skip
_NUMBER = "([一二三四五六七八九十]+)"
_CHINESE = re.compile(f"([{DIGITS}]{{4}})年{_NUMBER}月{_NUMBER}日(?:星期([{CHINESE_WEEKDAYS}]))?")


def spell_english_date(date: datetime.date, form: str = "ordinal", weekday: bool = False) -> str:
    """The date in one of `DATE_FORMS`, with its weekday in front if that is asked for.

    >>> spell_english_date(datetime.date(2024, 3, 3), weekday=True)
    'Sunday, the third of March 2024'

    Raises ValueError for an unknown form and a year before 1000.
    """
    _require_year(date)
    month = MONTHS[date.month - 1]
    if form == "ordinal":
        text = f"the {ORDINALS[date.day]} of {month} {date.year}"
    elif form == "month":
        text = f"{month} the {ORDINALS[date.day]}, {date.year}"
    elif form == "day":
        text = f"{date.day} {month} {date.year}"
    elif form == "american":
        text = f"{month} {date.day}, {date.year}"
    else:
        raise ValueError(f"form must be one of {', '.join(DATE_FORMS)}, got {form!r}")
    return f"{WEEKDAYS[date.weekday()]}, {text}" if weekday else text


def parse_english_date(text: str) -> datetime.date:
    """The date that `spell_english_date` writes so, in any of its forms.

    Raises ValueError for all other texts, for a day that the month does not have and a weekday that is another one.
    """
    found = next((match for match in (form.fullmatch(text) for form in _ENGLISH) if match), None)
    if found is None:
        raise ValueError(f"{text!r:.80} is no English date such as {'the third of March 2024'!r}")
    parts = found.groupdict()
    day = int(parts["day"]) if parts.get("day") else ORDINALS.index(parts["ordinal"])
    weekday = WEEKDAYS.index(parts["weekday"]) if parts["weekday"] else None
    return _date(text, int(parts["year"]), MONTHS.index(parts["month"]) + 1, day, weekday)


def spell_chinese_date(date: datetime.date, weekday: bool = False) -> str:
    """The date in Chinese, with its weekday at the end if that is asked for.

    >>> spell_chinese_date(datetime.date(2024, 12, 21))
    '二零二四年十二月二十一日'

    Raises ValueError for a year before 1000.
    """
    _require_year(date)
    year = "".join(DIGITS[int(digit)] for digit in str(date.year))
    text = f"{year}年{spell_chinese(date.month)}月{spell_chinese(date.day)}日"
    return f"{text}星期{CHINESE_WEEKDAYS[date.weekday()]}" if weekday else text


def parse_chinese_date(text: str) -> datetime.date:
    """The date that `spell_chinese_date` writes so; raises as `parse_english_date`.

    >>> parse_chinese_date("二〇二四年三月三日")
    datetime.date(2024, 3, 3)
    """
    found = _CHINESE.fullmatch(text.replace("〇", DIGITS[0]))
    if found is None:
        raise ValueError(f"{text!r:.80} is no Chinese date such as '二零二四年三月三日'")
    year, month, day, weekday = found.groups()
    number = int("".join(str(DIGITS.index(digit)) for digit in year))
    return _date(text, number, parse_chinese(month), parse_chinese(day), weekday and CHINESE_WEEKDAYS.index(weekday))


def _date(text: str, year: int, month: int, day: int, weekday: int | None) -> datetime.date:
    try:
        date = datetime.date(year, month, day)
    except ValueError:
        raise ValueError(f"{text!r:.80} is no date: the calendar has no such day") from None
    _require_year(date)
    if weekday is not None and weekday != date.weekday():
        raise ValueError(f"{text!r:.80} is no date: that day is a {WEEKDAYS[date.weekday()]}")
    return date


def _require_year(date: datetime.date) -> None:
    if date.year < 1000:
        raise ValueError(f"the year must have four digits, from 1000 to 9999, got {date.year}")
