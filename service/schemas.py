"""What comes in and goes out: pydantic models that read a request and write a response.

Add a schema: a subclass of Body, Query or Out in the feature's schemas.py.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NoReturn, Self, TypeVar

from flask import Response, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from service.errors import BadRequest, Invalid, UnsupportedMediaType

T = TypeVar("T")
Schema = TypeVar("Schema", bound=BaseModel)


def _number(value: Any) -> Any:
    if isinstance(value, bool | str):  # pydantic would read "5" and true
        raise ValueError("must be a number")
    return value


# For an integer of a body, after its Field: 5 and 5.0, which to JSON Schema is one, but not "5"
# or true.
NUMBER = BeforeValidator(_number)


class Body(BaseModel):
    """A JSON body. Unknown fields are refused, so that a misspelt one is noticed."""

    # 1e999 is JSON, and infinite.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    @classmethod
    def read(cls) -> Self:
        """The request's body. Raises 400, 415 or 422."""
        return _validate(cls, read_json(), "The body is not valid.")


class Query(BaseModel):
    """The parameters of a query string. Unknown and repeated ones are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @classmethod
    def read(cls) -> Self:
        """The request's query. Raises 422."""
        if not request.query_string:
            return _validate(cls, {}, "")
        lists = request.args.to_dict(flat=False)
        values = {name: each[0] if len(each) == 1 else each for name, each in lists.items()}
        return _validate(cls, values, "The query is not valid.")


class Out(BaseModel):
    """What a client sees of a thing: the fields here, read from attributes, and nothing else."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def response(
        cls, thing: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        """The thing as JSON. Times are RFC 3339 in UTC, ids in their canonical form."""
        body = cls.__pydantic_serializer__.to_json(cls.model_validate(thing))
        return Response(body, status, headers, content_type="application/json")


class Page(Out, Generic[T]):
    """A part of a list, and where the next one begins; null at the end."""

    items: Sequence[T]
    next_cursor: str | None


class Repeated(ValueError):
    """A key that stands twice in one JSON object."""


def read_json() -> Any:
    """The request's JSON. Raises 413 if it is too large, 415 for another type, 400 if it does
    not parse, 422 for duplicate keys and for text that cannot be stored."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send JSON, with the header Content-Type: application/json.")
    raw = request.get_data(cache=True)
    if len(raw) < (request.content_length or 0):
        raise BadRequest("The body is shorter than its Content-Length says: it was cut off.")
    if request.content_length is None:  # in chunks: Werkzeug cuts it off at the limit
        request.stream.read(1)  # which raises 413 there
    try:
        if (text := raw.decode()).startswith("\ufeff"):
            raise ValueError("it begins with a byte order mark")
        value = _DECODER.decode(text)
        errors = list(_unfit_text(value)) if b"\\u" in raw else []  # only an escape can spell it
    except Repeated as error:
        errors = [{"field": _printable(str(error)), "message": "is given twice"}]
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    except ValueError as error:  # JSON's own error, or bytes that are not UTF-8
        raise BadRequest(f"The body is not valid JSON: {error}.") from None
    if errors:
        raise Invalid("The body is not valid.", errors=errors)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Repeated(name)
            seen.add(name)
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)


def _unfit_text(value: Any, place: str = "") -> Iterator[dict[str, str]]:
    """Where NUL characters and lone surrogates are: PostgreSQL's text can hold neither."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            yield {
                "field": _printable(place) or "body",
                "message": "holds a NUL character or half of a pair",
            }
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _unfit_text(key, place)
            yield from _unfit_text(each, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _unfit_text(each, f"{place}.{index}".lstrip("."))


def _printable(name: str) -> str:
    """A name that came from outside, as it can be sent back."""
    return name.encode(errors="replace").decode()


def _validate(cls: type[Schema], value: Any, detail: str) -> Schema:
    try:
        return cls.model_validate(value)
    except ValidationError as error:
        errors = [
            {
                "field": ".".join(map(str, each["loc"])) or "body",
                "message": each["msg"].removeprefix("Value error, "),
            }
            for each in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise Invalid(detail, errors=errors) from None
