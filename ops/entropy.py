"""Whether a secret was drawn by chance or made up by a person, as far as its text shows.

The rule. A secret is read from left to right and cut into the longest pieces there are:

- what stands earlier in the same secret, three characters or more of it;
- a run of three or more letters or digits: `abc`, `987`, `aaa`;
- three or more neighbours on a keyboard: `qwerty`;
- a word that people put into secrets: `password`, `jwt`;
- where none of these begins, one character.

Upper and lower case are the same, and punctuation that was there before counts for nothing. A
secret of fewer than MIN_PIECES pieces is weak: "password" four times is two, 0123456789abcdef twice
is three. What `openssl rand`, `token_urlsafe` and `uuid4` draw has about as many as characters.

This finds what is careless, not all that is poor: a line of a poem may pass.
"""

from __future__ import annotations

MIN_PIECES = 16
"""Half of the 32 characters that a secret has at least; what is random stays well above."""
MIN_LENGTH = 3
"""Characters of a piece: two that repeat are chance."""

_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik")
# Common words of examples, of passwords, and of sentences about secrets.
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
        # Between words it is the same hyphen again and again.
        if length > 1 or text[at].isalnum() or text[at] not in text[:at]:
            pieces += 1
        at += length
    return pieces < MIN_PIECES


def _piece(text: str, at: int) -> int:
    """How long the longest piece is that begins at `at`."""
    length = max(_run(text, at), _word(text, at))
    length = max(length, *(_repeat(row, text, at) for row in _KEYBOARD))
    # What repeats may reach into itself, as in "abababab".
    end = max(at + MIN_LENGTH, at + length + 1)
    while end <= len(text) and text.find(text[at:end], 0, end - 1) != -1:
        length = end - at
        end += 1
    return length if length >= MIN_LENGTH else 1


def _run(text: str, at: int) -> int:
    """How many characters from `at` go up, down or stay, by one step each."""
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
    """How much of `row` stands at `at`, either way round."""
    length = 1
    while at + length < len(text) and (
        text[at : at + length + 1] in row or text[at : at + length + 1] in row[::-1]
    ):
        length += 1
    return length
