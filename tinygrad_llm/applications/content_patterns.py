"""Patterns of private data and secrets: what has a form is better found by its form than by a trained classifier.

    email    name@example.org
    phone    +44 20 7946 0018, (555) 010-9999
    card     13 to 19 digits of a payment card, with the check digit right
    secret   private keys, access keys of well-known services, and `password = …` with letters and digits

A match says that a text looks so, not that it is real.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass


def luhn(digits: str) -> bool:
    """Whether the last digit checks the others: from the right each second one is doubled, and the sum of all digits
    must end in 0 (H. Luhn, US patent 2,950,048, 1960). One wrong digit is always noticed; one random number in ten
    passes.

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    doubled = [int(digit) * (1 + i % 2) for i, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def _is_card(found: re.Match) -> bool:
    digits = _digits(found[0])
    return digits[0] in "3456" and len(set(digits)) > 1 and luhn(digits)  # the issuers of payment cards begin so


def _is_phone(found: re.Match) -> bool:
    return 8 <= len(_digits(found[0])) <= 15 and len(set(_digits(found[0]))) > 2


def _is_secret(found: re.Match) -> bool:
    """A value after `password =` counts with a letter and a digit in it: so do few words of an explanation."""
    value = found["value"]
    return value is None or (any(c.isdigit() for c in value) and any(c.isalpha() for c in value))


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isascii() and c.isdigit())


@dataclass(frozen=True)
class Pattern:
    """A regular expression, and what else must be true of a match."""

    expression: re.Pattern
    accepts: Callable[[re.Match], bool] = lambda found: True

    def find(self, text: str) -> Iterator[str]:
        """What matches, from left to right."""
        return (found[0] for found in self.expression.finditer(text) if self.accepts(found))


EMAIL = r"(?<![\w.+-])[\w+-][\w.+-]{0,63}@[A-Za-z0-9][\w-]{0,62}(?:\.[\w-]{1,63}){0,4}\.[A-Za-z]{2,24}\b"
PHONE = (
    r"(?<![\w.,/-])(?:\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}"
    r"|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})(?![\w-])"
)
CARD = r"(?<![\w.-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -]?)\d{6}\2\d{5}|\d{13,19})(?![\w-]|\.\d)"
SECRET = (
    r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|\bsk-[A-Za-z0-9_-]{20,200}|\bxox[abprs]-[A-Za-z0-9-]{10,200}"
    r"|(?i:\b(?:password|passwd|pwd|passphrase|api[_-]?key|secret[_-]?key|access[_-]?token))"
    r"""\s{0,3}(?:is|=|:)\s{0,3}["']?(?P<value>[^\s"'()<>{}\[\],;]{6,100})"""
)
PATTERNS = {
    "email": Pattern(re.compile(EMAIL)),
    "phone": Pattern(re.compile(PHONE), _is_phone),
    "card": Pattern(re.compile(CARD), _is_card),
    "secret": Pattern(re.compile(SECRET), _is_secret),
}
