"""The text of a .env: read as the service's library reads it (python-dotenv), and written so that
it reads the same. What is not asked for stays as it is, comments too."""

import re

from deploy.shell import Failed

NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*")
_PLAIN = re.compile(r"[\w./:@%+,=?&~^*!;-]*", re.ASCII)
_QUOTED = re.compile(r"'((?:\\.|[^'\\])*)'|\"((?:\\.|[^\"\\])*)\"")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def values(text: str) -> dict[str, str]:
    """Name and value of each line; the last of a name counts. Raises Failed for a value that goes
    on over several lines."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (pair := _LINE.fullmatch(line)):
            continue
        found[pair[1]] = _read(pair[2], number)
    return found


def _read(raw: str, number: int) -> str:
    if not raw.startswith(("'", '"')):
        return re.sub(r"\s+#.*", "", raw)
    if (found := _QUOTED.match(raw)) is None:
        raise Failed(f".env: line {number} begins with a quote that does not end in that line")
    if found[1] is not None:
        return re.sub(r"\\([\\'])", r"\1", found[1])
    return re.sub(r"\\(.)", lambda each: _ESCAPES.get(each[1], each[1]), found[2])


def changed(text: str, given: dict[str, str], removed: tuple[str, ...] = ()) -> str:
    """The text with these variables, in the place of those that it had of the same names."""
    lines, rest = [], dict(given)
    for line in text.splitlines():
        pair = None if line.lstrip().startswith("#") else _LINE.fullmatch(line)
        name = pair[1] if pair else ""
        if name in rest:
            lines.append(_spelt(name, rest.pop(name)))
        elif name not in removed and name not in given:
            lines.append(line)
    lines += [_spelt(name, value) for name, value in rest.items()]
    return "".join(f"{line}\n" for line in lines)


def _spelt(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return f"{name}={value}"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{escaped}'"


def pairs(said: str) -> dict[str, str]:
    """What somebody wants set: lines of NAME=VALUE, each value as it is, without quotes. Raises
    Failed; never with a value in it, which may be a secret."""
    found = {}
    for number, line in enumerate(said.splitlines(), 1):
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if not equals or not NAME.fullmatch(name.strip()):
            raise Failed(f"line {number} is not NAME=VALUE, with NAME in capitals")
        if "${" in value:
            raise Failed(f"{name.strip()} has ${{ in it, which .env would take for a variable")
        if not value.isprintable():
            raise Failed(f"{name.strip()} has characters in it that cannot be printed")
        found[name.strip()] = value.strip()
    if not found:
        raise Failed("nothing was given: NAME=VALUE lines are read from standard input")
    return found
