"""Names that every tool takes: lower-case slugs, and a hash wherever the slug is not the name itself."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from planner.errors import Finding, InputError

HASH_LETTERS = 8
_PLAIN = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_HASHED = re.compile(rf"-[0-9a-f]{{{HASH_LETTERS}}}$")


def slug(text: str, most: int = 63) -> str:
    """A name as `[a-z][a-z0-9-]*` of at most `most` letters; different names never become equal.

    What cannot be written in ASCII is left out. Whenever the slug differs from the name, the first letters of the
    name's SHA-256 follow it, so `Chat 70b`, `chat-70b` and `chat_70b` stay apart. A name that ends as if it had such
    letters gets its own, so that nobody can take the slug of another name.

    Examples
    --------
    >>> slug("chat"), slug("Chat 70b")
    ('chat', 'chat-70b-e0f2c259')
    """
    if len(text) <= most and _PLAIN.fullmatch(text) and not _HASHED.search(text):
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    head = words if words[:1].isalpha() else f"x-{words}".strip("-")
    return f"{head[: most - HASH_LETTERS - 1].strip('-')}-{_digest(text)[:HASH_LETTERS]}"


def short_slug(text: str, most: int = 12) -> str:
    """A name of `[a-z][a-z0-9]*`, for tools that take neither hyphens nor long names; always with letters of the hash.

    Examples
    --------
    >>> short_slug("azure/eastus2/Standard_ND96isr_MI300X_v5:held")
    'azure6a6f0e9'
    """
    letters = re.sub(r"[^a-z0-9]", "", slug(text))
    return letters[: most - 7] + _digest(text)[:7]


def distinct(texts: Iterable[str], most: int = 63, short: bool = False) -> dict[str, str]:
    """Each text with its slug.

    Raises
    ------
    InputError
        when two texts have the same slug: letters of two hashes are equal
    """
    names = {text: short_slug(text, most) if short else slug(text, most) for text in texts}
    of: dict[str, str] = {}
    for text, name in names.items():
        if name in of:
            got = f"that of {of[name][:80]!r}"
            raise InputError([Finding(f"names: {text[:80]!r}", "a name of its own", got, "rename one of both")])
        of[name] = text
    return names


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
