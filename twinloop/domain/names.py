"""Names of people, in any script: one form for each, and which can also be the name of a folder."""

from __future__ import annotations

import re
import unicodedata

from twinloop.system import WINDOWS

LONGEST_NAME = 120
"""Bytes of a person's name: it becomes part of other names, such as kohya's folder and contact sheets, of which 255 are
the most."""
NON_JOINER, JOINER = "\u200c", "\u200d"
"""Invisible, and part of how some words are written: Sinhala and Malayalam, Persian."""
_VIRAMA = 9
"""Canonical combining class of the signs that take a consonant's vowel away in Indic scripts."""

_DEVICES = re.compile(r"CON|PRN|AUX|NUL|(COM|LPT)[0-9¹²³]")


def composed(name: str) -> str:
    """The same name with letters and their marks as one character where there is one (NFC)."""
    return unicodedata.normalize("NFC", name)


def normal(name: str) -> str:
    """The form in which a name is written down: composed, without blanks around it."""
    return composed(name).strip()


def as_folder(name: str) -> str:
    """What the folder of a name is called: without dots and blanks at its end, which Windows would drop."""
    return composed(name).rstrip(" .")


def share_folder(name: str, other: str) -> bool:
    """Whether the folders of two names would be one on some disk, though the names may be two."""
    return folded(as_folder(name)) == folded(as_folder(other))


def folded(name: str) -> str:
    """What two names share that count as one: case, composition and invisible characters make no difference."""
    plain = "".join(char for char in unicodedata.normalize("NFD", name.strip()) if not _invisible(char))
    return unicodedata.normalize("NFD", plain.casefold())


def problem_of(name: str) -> str:
    """Why a name, as it is, cannot be a folder's; "" = it can be."""
    if not name or name != name.strip() or not _begins(name[0]) or not all(_fits(name, at) for at in range(len(name))):
        return f"'{name}' cannot be the name of a folder. Use letters, digits, spaces, dots, - and _."
    if WINDOWS and is_device(name):
        return f"'{name}' is what Windows calls a device; it cannot be the name of a folder. Add a letter or a surname."
    if len(name.encode()) > LONGEST_NAME:
        return f"'{name[:20]}...' is too long for the name of a folder: at most {LONGEST_NAME} bytes."
    return ""


def is_device(name: str) -> bool:
    """Whether Windows takes a file of this name for a device, whatever its ending."""
    return _DEVICES.fullmatch(name.split(".")[0].rstrip().upper()) is not None


def _begins(char: str) -> bool:
    """Letters, digits and connecting characters: a mark needs a letter before it; what begins with a dot is hidden."""
    category = unicodedata.category(char)
    return category[0] in "LN" or category == "Pc"


def _fits(name: str, at: int) -> bool:
    char = name[at]
    if char in (NON_JOINER, JOINER):
        return _joins(name, at)
    return _begins(char) or unicodedata.category(char)[0] == "M" or char in " .-"


def _joins(name: str, at: int) -> bool:
    """Whether a joiner is where scripts need one: after a virama, or a non-joiner between Arabic letters.

    Anywhere else it is only invisible.
    """
    before, after = name[at - 1 : at], name[at + 1 : at + 2]
    if before and unicodedata.combining(before) == _VIRAMA:
        return True
    arabic = [bool(char) and unicodedata.bidirectional(char) == "AL" for char in (before, after)]
    return name[at] == NON_JOINER and all(arabic)


def _invisible(char: str) -> bool:
    """Joiners, and marks that choose a variant of the letter before them."""
    return (
        char in (NON_JOINER, JOINER, "\u034f") or "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    )
