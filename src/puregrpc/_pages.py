"""Pages for a browser: a file of a package, filled with a title and data."""

from __future__ import annotations

import html
import json

from puregrpc._data import resource

__all__ = ["as_json", "filled_page"]


def as_json(value: object) -> str:
    """JSON without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def filled_page(package: str, title: str, data: object) -> str:
    """The file ``page.html`` of a package, in which ``__TITLE__`` and ``__DATA__`` stand for these."""
    # "<" is inside JSON strings only: so no text can end the script element, or begin a comment in it.
    text = as_json(data).replace("<", "\\u003c")
    template = resource(package, "page.html").decode()
    return template.replace("__TITLE__", html.escape(title)).replace("__DATA__", text)
