"""Tests use what the package shows. Those that still reach for private names are counted."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MOST = 106
"""Lower it when there are fewer."""


def _is_private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__")


def _imported(tree: ast.Module) -> dict[str, ast.stmt]:
    """Names that come from the package, its modules included."""
    found: dict[str, ast.stmt] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "zktrain":
                    found[alias.asname or "zktrain"] = node
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zktrain"):
            found |= {alias.asname or alias.name: node for alias in node.names}
    return found


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def private_names(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of what is imported, read or replaced although it is private. Modules with an
    underscore, which hold the verbs, do not count."""
    tree = ast.parse(source)
    known = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zktrain."):
            yield from ((node.lineno, a.name) for a in node.names if _is_private(a.name))
        elif isinstance(node, ast.Attribute) and _is_private(node.attr):
            module = isinstance(node.value, ast.Name) and node.value.id == "zktrain"
            if _root(node.value) in known and not module:
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and len(node.args) > 1:
            owner, name = node.args[:2]
            if isinstance(name, ast.Constant) and _is_private(name.value) and _root(owner) in known:
                yield node.lineno, f"{ast.unparse(owner)}.{name.value}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = node.value.split(".")
            if parts[0] == "zktrain" and len(parts) > 2 and _is_private(parts[-1]):
                yield node.lineno, node.value


def test_no_more_private_names_than_before() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}: {name}"
        for path in sorted(TESTS.rglob("*.py"))
        if path.name != Path(__file__).name
        for line, name in private_names(path.read_text(encoding="utf-8"))
    ]
    assert len(found) <= MOST, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("from zktrain.commitment.commit import _cells", 1),
        ("from zktrain.commitment import commit\ncommit._cells(1)", 1),
        ("import zktrain.files as f\nf.inner._cells", 1),
        ("from zktrain import files\nmock.patch.object(files, '_open', x)", 1),
        ("mock.patch('zktrain.files._open')", 1),
        ("from zktrain import files\nfiles.__doc__\nfiles.opened\nself._own\nother._own", 0),
        ("from zktrain._verify import verify\nimport zktrain\nzktrain._verify.verify", 0),
    ],
)
def test_what_counts(source: str, count: int) -> None:
    assert len(list(private_names(source))) == count
