"""Where settings come from besides the environment: `.env`, files and a store of secrets.

Nothing to change here; the settings themselves are in settings.py.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import parse_stream

from service import secretstore
from service.stores import StoreError

Problems = list[tuple[str, str]]


class SettingsError(Exception):
    """The environment is not valid. Holds all problems at once, as (variable, what to do)."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        width = max(len(name) for name, _ in problems)
        lines = "\n".join(f"  {name:{width}}  {message}" for name, message in problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(
            f"The environment is not valid: {count}.\n{lines}\n"
            "Set these variables in the environment or in .env, on servers of your own by"
            " `python -m deploy vps env set`; .env.example explains each."
        )


def check_syntax(dotenv: Path) -> None:
    """Raises SettingsError for a `.env` that is no text, or has a line that cannot be read."""
    if not dotenv.is_file():
        return
    try:
        with dotenv.open(encoding="utf-8-sig") as lines:
            wrong = [each.original for each in parse_stream(lines) if each.error]
    except UnicodeDecodeError:
        raise SettingsError([(dotenv.name, "is not UTF-8: save it as that")]) from None
    if wrong:
        line = wrong[0]
        raise SettingsError([(dotenv.name, f"line {line.line} is not NAME=value")])


def secret_files(names: Iterable[str], given: Mapping[str, str]) -> tuple[dict[str, str], Problems]:
    """The secrets of these fields that files hold (NAME_FILE), and what was wrong."""
    values: dict[str, str] = {}
    problems: Problems = []
    for name in names:
        variable = f"{name.upper()}_FILE"
        if not (path := given.get(variable)):
            continue
        if given.get(name.upper()):
            problems.append((variable, f"contradicts {name.upper()}: set one of the two"))
            continue
        try:
            values[name] = Path(path).read_text().strip()
            if not values[name]:
                problems.append((variable, f"names a file that is empty: {path}"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            problems.append((variable, f"cannot be read: {path}: {reason}"))
            values[name] = ""
    return {name: value for name, value in values.items() if value}, problems


class Stored(NamedTuple):
    """The secrets of fields that a store holds, what was wrong, and what is odd."""

    values: dict[str, str]
    problems: Problems
    warnings: list[str]
    is_lost: bool  # it could not be asked, so nobody knows what it holds


def stored_secrets(
    names: Iterable[str], given: Mapping[str, str], fresh: bool, bound: float, lenient: bool
) -> Stored:
    """The secrets of these fields that SECRETS_FROM holds.

    A secret has one source: two that differ are refused, or after a rotation in the one nobody
    would know why the other is used. Who develops (`lenient`) may override a value of the store.
    """
    try:
        held = secretstore.values(given, fresh, bound)
    except StoreError as error:
        return Stored({}, [(error.variable, str(error))], [], is_lost=True)
    fields = {name.upper(): name for name in names}
    found = Stored({}, [], [], is_lost=False)
    for variable, value in held.items():
        own = given.get(variable)
        if variable not in fields:
            found.warnings.append(f"SECRETS_FROM has {variable}, which is no secret of the service")
        elif not own or own == value:
            found.values[fields[variable]] = value
        elif not lenient:
            message = "contradicts SECRETS_FROM, which has another value: keep one of the two"
            found.problems.append((variable, message))
    return found
