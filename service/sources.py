"""Where settings come from besides the environment: `.env`, and files that hold secrets.

Nothing to change here; the settings themselves are in settings.py.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from dotenv.parser import parse_stream


class SettingsError(Exception):
    """The environment is not valid. Holds all problems at once, as (variable, what to do)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
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


def secret_files(
    names: Iterable[str], given: Mapping[str, str]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The secrets of these fields that files hold (NAME_FILE), and what was wrong."""
    values: dict[str, str] = {}
    problems = []
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
