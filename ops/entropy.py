"""Judges whether a secret is random, or was invented by a person.

The secret is cut into pieces from left to right. Each piece is the longest text that fits one of
these rules:

- three or more characters that occur earlier in the same secret;
- a run of three or more letters or digits: `abc`, `987`, `aaa`;
- three or more neighbours on a keyboard: `qwerty`;
- a word that people put into secrets: `password`, `jwt`;
- if no other rule fits, one character.

Upper and lower case count as the same, and repeated punctuation does not count. A secret with fewer
than MIN_PIECES pieces is weak. For example, "password" written four times has only two pieces, and
0123456789abcdef written twice has only three. A secret from `openssl rand`, `token_urlsafe` or
`uuid4` has almost as many pieces as characters.

This finds careless secrets, but not all weak ones: a line of a poem may pass.
"""

from __future__ import annotations

MIN_PIECES = 16
"""Half of 32, which is the minimum length of a secret. Random secrets have many more pieces."""
MIN_LENGTH = 3
"""A piece has either one character, or at least this many characters. There are no pieces of two
characters, because two characters may repeat by chance."""

_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik")
# Words that are common in example values, in passwords and in sentences about secrets.
_WORDS = frozenset(
    """
    access account admin administrator alibaba aliyun and api app are auth authentication
    backend battery bits bucket but bytes callback can cannot change changeme character characters
    cloud code company config correct data database debug default deploy development dont dummy
    easy encryption env example fake file foo for from function generated guess hash have hello
    hmac hook horse key keys least letmein local login long longer love magic master minimum must
    name never nobody not oauth one oss pass passphrase password passwd phone please private prod
    production public random real replace role root safe sample sandbox seal secret secrets secure
    security server service session should sign signing simple some staple string strong super
    test testing that the this token tokens top two upload uploads use used user very web webhook
    welcome with word world you your
    """.split()
)
_LONGEST_WORD = max(map(len, _WORDS))


def is_weak(secret: str) -> bool:
    """Whether `secret`, of any length, has fewer than MIN_PIECES pieces."""
    text = secret.lower()
    at = pieces = 0
    while at < len(text) and pieces < MIN_PIECES:
        length = _piece(text, at)
        # Repeated hyphens between words do not count.
        if length > 1 or text[at].isalnum() or text[at] not in text[:at]:
            pieces += 1
        at += length
    return pieces < MIN_PIECES


def _piece(text: str, at: int) -> int:
    """Return the length of the longest piece that begins at `at`."""
    length = max(_run(text, at), _word(text, at))
    length = max(length, *(_repeat(row, text, at) for row in _KEYBOARD))
    # A repetition may overlap with itself, as in "abababab".
    end = max(at + MIN_LENGTH, at + length + 1)
    while end <= len(text) and text.find(text[at:end], 0, end - 1) != -1:
        length = end - at
        end += 1
    return length if length >= MIN_LENGTH else 1


def _run(text: str, at: int) -> int:
    """Return the length of the run from `at`. From character to character, a run goes up by one
    (abc), goes down by one (987), or stays the same (aaa)."""
    if at + 1 == len(text) or not text[at].isalnum():
        return 1
    step = ord(text[at + 1]) - ord(text[at])
    if abs(step) > 1:
        return 1
    end = at + 2
    while end < len(text) and ord(text[end]) - ord(text[end - 1]) == step:
        end += 1
    return end - at


def _word(text: str, at: int) -> int:
    for length in range(_LONGEST_WORD, MIN_LENGTH - 1, -1):
        if text[at : at + length] in _WORDS:
            return length
    return 1


def _repeat(row: str, text: str, at: int) -> int:
    """Return the length of the longest part of `text` that begins at `at` and that `row` contains,
    forwards or backwards. The length is at least 1."""
    length = 1
    while at + length < len(text) and (
        text[at : at + length + 1] in row or text[at : at + length + 1] in row[::-1]
    ):
        length += 1
    return length
