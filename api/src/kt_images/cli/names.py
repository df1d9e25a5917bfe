"""Names from the service, which are not trusted: as text on a terminal, and as local file names."""

import re
import unicodedata
from pathlib import PurePath

# Control characters, among them the start of escape sequences; marks that change the direction of text; line separators
# other than "\n"; halves of surrogate pairs.
_MARKS = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_INVISIBLE = f"\x00-\x1f{_MARKS}"
_UNSHOWN = re.compile(f"[{_INVISIBLE}]")
_UNSHOWN_IN_LINES = re.compile(f"[\x00-\x09\x0b-\x1f{_MARKS}]")
# Separators of folders, and characters that are special on some file system.
_UNSAFE = re.compile(f'[{_INVISIBLE}/\\\\:*?"<>|]')
# Windows opens the device whatever the extension is.
_DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"
}
MAX_BYTES = 255


def shown(text: str) -> str:
    r"""Return the text with the characters that a terminal might obey written as \u001b and the like.

    JSON keeps its meaning.
    """
    return _UNSHOWN.sub(_escaped, text)


def shown_lines(text: str) -> str:
    """Return the same for each line of a text."""
    return _UNSHOWN_IN_LINES.sub(_escaped, text)


def local_name(text: str) -> str:
    """Return `text` as the name of one file: no path, no device, nothing hidden, no option, at most 255 bytes long."""
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).strip(" ").rstrip(". ")
    if not name or name[0] in ".-~" or name.split(".")[0].rstrip(" ").upper() in _DEVICES:
        name = f"_{name}"
    extension = PurePath(name).suffix
    stem = name.removesuffix(extension)
    room = MAX_BYTES - len(extension.encode())
    if room < 1:
        stem, extension, room = name, "", MAX_BYTES
    return stem.encode()[:room].decode(errors="ignore") + extension


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
