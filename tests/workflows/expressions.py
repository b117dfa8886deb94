"""GitHub's expressions, as far as our workflows use them; any other form raises Unknown.

https://docs.github.com/actions/reference/workflows-and-actions/expressions
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Contexts = Mapping[str, Any]
Function = Callable[..., Any]

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>\d+)|(?P<name>[A-Za-z_][\w.-]*)"
    r"|(?P<sign>==|!=|&&|\|\||[!()\[\],]))"
)
_WORDS = {"true": True, "false": False, "null": None}
_WHOLE = re.compile(r"\$\{\{(.*?)\}\}", re.S)


class Unknown(Exception):
    """A form that is not known here: nothing is tested that GitHub would read in another way."""


def evaluate(text: str, contexts: Contexts, functions: Mapping[str, Function]) -> Any:
    """What the text between the braces says."""
    return _Parser(text, contexts, {**FUNCTIONS, **functions}).whole()


def filled(text: Any, contexts: Contexts, functions: Mapping[str, Function]) -> Any:
    """A value of a workflow, with its expressions put in."""
    if not isinstance(text, str):
        return text
    if found := re.fullmatch(r"\s*\$\{\{(.*)\}\}\s*", text, re.S):
        if "${{" not in found[1]:
            return evaluate(found[1], contexts, functions)
    return _WHOLE.sub(lambda each: shown(evaluate(each[1], contexts, functions)), text)


def condition(text: Any, contexts: Contexts, functions: Mapping[str, Function]) -> bool:
    """Of an `if:`; without a function that says otherwise, what failed before counts."""
    source = str(text).strip()
    if found := re.fullmatch(r"\$\{\{(.*)\}\}", source, re.S):
        source = found[1]
    asked = re.search(r"\b(always|failure|cancelled|success)\s*\(", source)
    if asked is None and not functions["success"]():
        return False
    return truth(evaluate(source, contexts, functions))


def truth(value: Any) -> bool:
    return value not in (None, False, 0, "")


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        raise Unknown("an object as text")
    return "" if value is None else str(value)


def _contains(where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(_equal(each, what) for each in where)
    return shown(what).lower() in shown(where).lower()


def _equal(one: Any, other: Any) -> bool:
    """Strings are the same whatever their case; what is of two types is no text here."""
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    if None in (one, other) and isinstance(one or other, str):
        return not (one or other)  # null and "" are 0, and other text is no number
    if type(one) is not type(other):
        raise Unknown(f"{one!r} == {other!r}: of two types")
    return bool(one == other)


FUNCTIONS: dict[str, Function] = {"contains": _contains, "fromJSON": json.loads}


class _Parser:
    def __init__(self, text: str, contexts: Contexts, functions: Mapping[str, Function]) -> None:
        self._contexts, self._functions = contexts, functions
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None:
                raise Unknown(f"{text.strip()!r}, at {text[place:].strip()[:20]!r}")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            place = found.end()

    def whole(self) -> Any:
        found = self._or()
        if self._tokens:
            raise Unknown(f"what follows: {self._tokens[0][1]!r}")
        return found

    def _or(self) -> Any:
        found = self._and()
        while self._take("||"):
            other = self._and()
            found = found if truth(found) else other
        return found

    def _and(self) -> Any:
        found = self._comparison()
        while self._take("&&"):
            other = self._comparison()
            found = other if truth(found) else found
        return found

    def _comparison(self) -> Any:
        found = self._not()
        if self._take("=="):
            return _equal(found, self._not())
        if self._take("!="):
            return not _equal(found, self._not())
        return found

    def _not(self) -> Any:
        return not truth(self._not()) if self._take("!") else self._single()

    def _single(self) -> Any:
        if self._take("("):
            found = self._or()
            self._want(")")
            return found
        if not self._tokens:
            raise Unknown("it ends where something is wanted")
        kind, text = self._tokens.pop(0)
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return int(text)
        if kind == "sign":
            raise Unknown(f"{text!r} there")
        if text in _WORDS:
            return _WORDS[text]
        return self._call(text) if self._take("(") else self._named(text)

    def _call(self, name: str) -> Any:
        if name not in self._functions:
            raise Unknown(f"the function {name}")
        given = []
        while not self._take(")"):
            given.append(self._or())
            if not self._take(","):
                self._want(")")
                break
        return self._functions[name](*given)

    def _named(self, name: str) -> Any:
        """A property that is not there is null; a context that is not there is a mistake."""
        context, *path = name.split(".")
        if context not in self._contexts:
            raise Unknown(f"the context {context}")
        found: Any = self._contexts[context]
        for each in path:
            found = found.get(each) if isinstance(found, Mapping) else None
        return found

    def _take(self, sign: str) -> bool:
        if self._tokens and self._tokens[0] == ("sign", sign):
            self._tokens.pop(0)
            return True
        return False

    def _want(self, sign: str) -> None:
        if not self._take(sign):
            raise Unknown(f"{sign!r} is missing")
