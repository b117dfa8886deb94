"""Statements as spans, for engines of a service that is traced.

Nothing to change here. The text is as it is sent, with names in the place of values.
"""

from typing import Any

import psycopg

from service import tracing


class Traced(psycopg.Cursor[Any]):
    """A cursor whose statements are steps of the request or job, if there is one."""

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> "Traced":
        with tracing.span(*_told(query), client=True):
            super().execute(query, *args, **kwargs)
        return self

    def executemany(self, query: Any, *args: Any, **kwargs: Any) -> None:
        with tracing.span(*_told(query), client=True):
            super().executemany(query, *args, **kwargs)


def _told(query: Any) -> tuple[str, tracing.Attributes]:
    """What its span is called, and says: the first word is what it does. Of what psycopg has
    composed there is no text: it may have values in it."""
    if not isinstance(query, str) or not (words := query.split(None, 1)):
        return "statement", {"db.system.name": "postgresql"}
    return words[0].upper(), {"db.system.name": "postgresql", "db.query.text": query}
