"""The one home where text from outside becomes a message.

Names of sources, keys, paths and the sentences of other libraries come from files that anybody may
have written. On a terminal an escape sequence moves the cursor or renames the window, a newline
forges a second message, and a bidi override turns a name round. So nothing of that is ever shown:
letters of any script stay, everything that doesn't print is spelt out (``\\x1b``, ``\\u202e``).
"""

from __future__ import annotations

from collections.abc import Iterable

#: Longer names are shortened in the middle: their ends tell more than the rest.
NAME_LIMIT = 120
#: The last line of defence: no sentence of ours is longer than this.
MESSAGE_LIMIT = 4000
#: So many names are named; the others are counted.
NAMED = 10

_CUT = "…"


def one_line(text: object) -> str:
    """``text`` with what doesn't print spelt out; what is printable already stays as it is."""
    raw = str(text)
    if raw.isprintable():
        return raw
    return "".join(letter if letter.isprintable() else _spelt(letter) for letter in raw)


def shown(text: object, limit: int = NAME_LIMIT) -> str:
    """:func:`one_line`, shortened in the middle to ``limit`` characters."""
    raw = str(text)
    if len(raw) > 2 * limit:
        # What is cut away anyway is not spelt out first: names of a gigabyte cost nothing.
        raw = raw[:limit] + _CUT + raw[-limit:]
    line = one_line(raw)
    if len(line) <= limit:
        return line
    head = (limit - len(_CUT) + 1) // 2
    return line[:head] + _CUT + line[len(line) - (limit - len(_CUT) - head) :]


def listed(
    names: Iterable[object], most: int = NAMED, separator: str = ", ", limit: int = NAME_LIMIT
) -> str:
    """Name the first ``most``, each as :func:`shown` does with ``limit``, and count the rest."""
    known = list(names)
    named = separator.join(shown(name, limit) for name in known[:most])
    return f"{named} and {len(known) - most} more" if len(known) > most else named


def _spelt(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
