"""What squawk says nothing of, and what it says too much of.

Add a rule of your own: a line in OURS, and what to do about it in advice.py.
"""

import re

from deploy.migrations.script import Statement

_WITH = r"(?:WITH\b.*\b)?"
# What squawk says nothing of: rule, the statements, what is wrong with them.
OURS = (
    (
        "data-in-a-revision",
        rf"{_WITH}(?:UPDATE|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE)\b"
        rf"|{_WITH}INSERT\b.*\bSELECT\b",
        "Rows that are there are locked, and the release waits, for as long as it takes.",
    ),
    (
        "holds-a-table",
        r"LOCK\b|VACUUM\b|CLUSTER\b|REPACK\b|REFRESH\s+MATERIALIZED\s+VIEW\s+(?!CONCURRENTLY)"
        r"|ALTER\s+TABLE\b.*\bSET\s+(?:LOGGED|UNLOGGED|TABLESPACE|ACCESS\s+METHOD)\b",
        "Nobody can use the table meanwhile.",
    ),
    (
        "hidden-write",
        r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:CONSTRAINT\s+)?(?:TRIGGER|RULE)\b",
        "It changes what the statements of the release before do.",
    ),
    ("unseen", r"(?:DO|CALL|EXECUTE)\b", "What it does cannot be seen from here."),
)
_OURS = [(rule, re.compile(pattern, re.DOTALL), what) for rule, pattern, what in OURS]

_TABLE = r'(?:ONLY\s+)?("[^"]+"|[\w.]+)'
_MADE = re.compile(rf"CREATE\s+(?:UNLOGGED\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_TABLE}")
_CHANGED = re.compile(rf"(?:UPDATE|DELETE\s+FROM|INTO|TRUNCATE(?:\s+TABLE)?)\s+{_TABLE}")


def ours(statement: Statement, made: set[str]) -> list[tuple[str, str]]:
    """Rules of our own that it breaks, and what is wrong. Tables that this revision has made are
    nobody's yet."""
    are_new = set(_CHANGED.findall(statement.plain)) <= made
    return [
        (rule, what)
        for rule, pattern, what in _OURS
        if pattern.match(statement.plain) and not (rule == "data-in-a-revision" and are_new)
    ]


def tables_made(statements: list[Statement]) -> set[str]:
    return {found[1] for each in statements if (found := _MADE.match(each.plain))}


_ADDED = re.compile(
    r'\bADD\s+COLUMN\s+(?:IF\s+NOT\s+EXISTS\s+)?("[^"]+"|\w+)(.*?)(?=,\s*(?:ADD|ALTER|DROP)\b|$)',
    re.DOTALL,
)
_KEY = re.compile(
    r"(?:UNIQUE|FOREIGN\s+KEY)\b(?!\s+USING)[^(]*\(([^)]*)\)|INDEX\b.*?\bON\b[^(]*\(([^)]*)\)",
    re.DOTALL,
)
_CHECKED = re.compile(r"\bCHECK\s*\((.*)\)", re.DOTALL)
_WORDS_OF_SQL = {*"AND ANY ARRAY BETWEEN FALSE ILIKE IN IS LIKE NOT NULL OR TEXT TRUE".split()}


def columns_added(statements: list[Statement]) -> tuple[set[str], set[str]]:
    """All that a script adds, and those of them that are NULL where they are not written."""
    found = [each for statement in statements for each in _ADDED.findall(statement.plain)]
    return (
        {name for name, _ in found},
        {name for name, rest in found if not re.search(r"DEFAULT|GENERATED|SERIAL", rest)},
    )


def is_of_new_columns(part: str, added: set[str], empty: set[str]) -> bool:
    """Whether a restriction is of columns that the release before does not write. `part` is what
    squawk points at, without its texts."""
    if re.match(r"ADD\b|CREATE\b|SET\b", part) is None:  # of ADD COLUMN, beside its type
        return "UNIQUE" not in part and "PRIMARY" not in part
    key = None if "NULLS NOT DISTINCT" in part else _KEY.search(part)
    if key:  # NULL is equal to nothing, and refers to nothing
        return bool(set(re.findall(r'"[^"]+"|\w+', key[1] or key[2])) & empty)
    if condition := _CHECKED.search(part):
        words = set(re.findall(r'"[^"]+"|[A-Z_]\w*', condition[1])) - _WORDS_OF_SQL
        return bool(words) and words <= added
    return False
