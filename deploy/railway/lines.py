"""Where in .railway/railway.py something is said: its evaluation knows values, and no lines."""

import ast
from collections.abc import Iterator


class Lines:
    """The lines of the arguments of calls such as `service("web", …)`, by what is in them."""

    def __init__(self, tree: ast.Module) -> None:
        self._nodes = list(ast.walk(tree))
        self._values: dict[str, list[ast.expr]] = {}
        for name, value in self._definitions():
            self._values.setdefault(name, []).append(value)

    def main(self) -> int:
        functions = (each for each in self._nodes if isinstance(each, ast.FunctionDef))
        return next((each.lineno for each in functions if each.name == "main"), 1)

    def of(self, resource: str) -> dict[str, int]:
        """The line of each argument of the call that makes a resource, and of each key in what
        it is given; the call's own under "". The last word on a key counts, as in Python."""
        calls = [
            each for each in self._nodes if isinstance(each, ast.Call) and _makes(each, resource)
        ]
        if not calls:
            words = (each for each in self._nodes if isinstance(each, ast.Constant))
            line = next((each.lineno for each in words if each.value == resource), self.main())
            return {"": line}
        call = max(calls, key=lambda each: each.lineno)
        return {"": call.lineno} | dict(self._said(call, frozenset()))

    def _said(self, node: ast.AST, within: frozenset[str]) -> Iterator[tuple[str, int]]:
        """What a part of the source says, by way of the names that it uses; not of those that it
        only takes something from, as a reference does from another resource."""
        if isinstance(node, ast.Attribute):
            return
        if isinstance(node, ast.Name) and node.id not in within:
            for value in self._values.get(node.id, []):
                yield from self._said(value, within | {node.id})
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                yield from self._said(value, within)
                if isinstance(key, ast.Constant):
                    yield str(key.value), key.lineno
            return
        for child in ast.iter_child_nodes(node):
            yield from self._said(child, within)
        if isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.lineno

    def _definitions(self) -> Iterator[tuple[str, ast.expr]]:
        """Each name with what it is set to; that of a function, with what it returns."""
        for node in self._nodes:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        yield target.id, node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                if node.value:
                    yield node.target.id, node.value
            elif isinstance(node, ast.FunctionDef):
                for each in ast.walk(node):
                    if isinstance(each, ast.Return) and each.value:
                        yield node.name, each.value


def _makes(call: ast.Call, resource: str) -> bool:
    """Whether it is `service("web", …)`, or a function of the file's own in its place."""
    first = call.args[0] if call.args else None
    holds = isinstance(call.func, ast.Name) and call.func.id in ("group", "project")
    return isinstance(first, ast.Constant) and first.value == resource and not holds
