"""The 256 bytes as tokens: which id each has, and which visible character stands for it in a tokenizer file.

GPT-2's table: a byte that is a visible Latin-1 character stands for itself, the others are numbered from
U+0100. So the space is written "Ġ", the newline "Ċ", and a token holds no blank and no control character.
The ids follow the order of these characters: the visible bytes first ("!" is 0, "a" is 64), then the rest.
"""

_VISIBLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_HIDDEN = [byte for byte in range(256) if byte not in _VISIBLE]

BASE_TOKENS = [bytes([byte]) for byte in _VISIBLE + _HIDDEN]  # by id
BYTE_IDS = bytes(BASE_TOKENS.index(bytes([byte])) for byte in range(256))  # by byte: for `bytes.translate`

_BYTE_TO_CHARACTER = {byte: chr(byte) for byte in _VISIBLE} | {
    byte: chr(0x100 + number) for number, byte in enumerate(_HIDDEN)
}
_CHARACTER_TO_BYTE = {character: byte for byte, character in _BYTE_TO_CHARACTER.items()}


def to_visible(token: bytes) -> str:
    """The token as a tokenizer file writes it. Example: `to_visible(b" the")` is `"Ġthe"`."""
    return "".join(map(_BYTE_TO_CHARACTER.__getitem__, token))


def from_visible(visible: str) -> bytes:
    """The inverse of `to_visible`. Raises ValueError where a character stands for no byte."""
    try:
        return bytes(map(_CHARACTER_TO_BYTE.__getitem__, visible))
    except KeyError as error:
        raise ValueError(
            f"the token {visible!r} holds {error.args[0]!r}, which stands for no byte: this is no byte-level vocabulary"
        ) from None
