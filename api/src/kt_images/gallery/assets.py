"""The gallery's files as they are sent: under names that change with their content, so that caches keep them for ever.

`app.js` becomes `app-3f2a91c0.js`. What refers to another file is rewritten first, so that a change of one file changes
the names of all that lead to it. Comments and indents are for readers of the source and stay here. Everything is made
once, in memory.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

PAGE = "page.html"
TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "html": "text/html"}

# How a module or a style sheet names another: `from "./api.js"`, `import "./grid.js"`.
_IMPORT = re.compile(r'(?<=["\'])\./([a-z0-9-]+\.(?:js|css|svg))(?=["\'])')
# How the page does.
_REFERENCE = re.compile(r"{gallery}/([a-z0-9-]+\.(?:js|css|svg))")
# Whole lines only, so that no text of a script can be taken for a comment.
_COMMENT = re.compile(r"^[ \t]*(?:/\*(?:(?!\*/).)*\*/|//[^\n]*)[ \t]*\n", re.MULTILINE | re.DOTALL)
_INDENT = re.compile(r"^[ \t]+|\n(?=\n)", re.MULTILINE)
_PRELOADS = "{preloads}"
_BASE = "{base}"


@dataclass(frozen=True)
class Asset:
    """A file as it is sent: its type, its bytes, and the same compressed."""

    content_type: str
    body: bytes
    compressed: bytes

    @property
    def tag(self) -> str:
        """What tells this content from others, for the header ETag."""
        return hashlib.sha256(self.body).hexdigest()[:32]


@cache
def files() -> dict[str, Asset]:
    """Return all files but the page, by the names under which they are published."""
    return {name: _asset(name, text) for name, text in _published().values()}


# A proxy names the path, and so may anybody.
@lru_cache(maxsize=16)
def page(base: str) -> Asset:
    """Return the page for browsers that see the service below the path `base`, empty for a whole host."""
    names = {name: published for name, (published, _) in _published().items()}
    preloads = "".join(
        f'<link rel="modulepreload" href="{{gallery}}/{name}">' for name in names if name.endswith(".js")
    )
    text = _source(PAGE).replace(_PRELOADS, preloads)
    text = _REFERENCE.sub(lambda found: f"{base}/gallery/{names[found[1]]}", text)
    return _asset(PAGE, text.replace(_BASE, base))


@cache
def _published() -> dict[str, tuple[str, str]]:
    """Return each file's published name and content by its own name."""
    done: dict[str, tuple[str, str]] = {}
    for entry in sorted(resources.files(__package__).joinpath("static").iterdir(), key=lambda one: one.name):
        if entry.name != PAGE:
            _publish(entry.name, done, ())
    return done


def _publish(name: str, done: dict[str, tuple[str, str]], above: tuple[str, ...]) -> str:
    """Publish a file after those that it names; return its published name. Modules must not import in a circle."""
    if name in above:
        raise ValueError(f"These import each other: {' '.join((*above, name))}")
    if name not in done:
        text = _INDENT.sub("", _COMMENT.sub("", _source(name)))
        text = _IMPORT.sub(lambda found: "./" + _publish(found[1], done, (*above, name)), text)
        stem, _, extension = name.rpartition(".")
        done[name] = (f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.{extension}", text)
    return done[name][0]


def _source(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text("utf-8")


def _asset(name: str, text: str) -> Asset:
    body = text.encode()
    content_type = f"{TYPES[name.rpartition('.')[2]]}; charset=utf-8"
    # The same bytes whenever it is started: no time in the header.
    return Asset(content_type, body, gzip.compress(body, 9, mtime=0))
