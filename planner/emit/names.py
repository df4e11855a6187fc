"""Names that every tool takes: lower-case slugs, and a hash wherever the slug is not the name itself."""

import hashlib
import re
import unicodedata

HASH_LETTERS = 8


def slug(text: str, most: int = 63) -> str:
    """A name as `[a-z][a-z0-9-]*` of at most `most` letters; different names never become equal.

    What cannot be written in ASCII is left out. Whenever the slug differs from the name, the first letters of the
    name's SHA-256 follow it, so `Chat 70b`, `chat-70b` and `chat_70b` stay apart.

    Examples
    --------
    >>> slug("chat"), slug("Chat 70b")
    ('chat', 'chat-70b-e0f2c259')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if words == text and re.fullmatch(r"[a-z][a-z0-9-]*", text) and len(text) <= most:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_LETTERS]
    head = words if words[:1].isalpha() else f"x-{words}".strip("-")
    return f"{head[: most - HASH_LETTERS - 1].strip('-')}-{digest}"
