"""How the package is arranged, from its syntax trees: nothing is imported or run.

Lower modules import no higher ones, no modules import each other in a circle, verifying needs numpy
alone and nothing of the prover, and its lines have a budget.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

import zktrain

PACKAGE = Path(zktrain.__file__).parent
ORDER = (
    "field",
    "transcript",
    "tables",
    "arguments",
    "operations",
    "layers",
    "losses",
    "optimizers",
    "circuit",
    "commitment",
    "dataset",
    "protocol",
)
"""Folders of what both sides know, lowest first. Modules beside them are below all of them."""
VERBS = ("judging", "_verify", "_inspect")
"""Above these folders, below everything else."""
BUDGET = 12_790
"""Lines that verifying may import. It falls; raise it for nothing but a new capability."""
LONGEST = 500
PAIRED = ("arguments", "operations", "transcript", "commitment", "dataset", "protocol")
ALONE = {
    "arguments.pairs": "a prover's sums over pairs, in bounded memory; what is sent is a sumcheck",
    "commitment.code": "code words, of which a verifier sees rows",
    "commitment.commit": "a verifier knows of a commitment its root alone",
    "dataset.secret_file": "what only the owner of the records has",
}
"""Modules of the prover without a twin that verifies."""


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


MODULES = _modules()


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def _lines(module: str) -> int:
    return len(MODULES[module].read_text().splitlines())


def _nodes(node: ast.AST, inside: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes but those for type checkers, with whether they are inside a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child, inside
        yield from _nodes(child, inside or isinstance(child, ast.FunctionDef | ast.Lambda))


def _targets(module: str, node: ast.AST) -> Iterator[str]:
    """What an import statement names, dotted; of the package without its name."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name.removeprefix("zktrain.")
    if not isinstance(node, ast.ImportFrom):
        return
    if not node.level:
        yield (node.module or "").removeprefix("zktrain.")
        return
    is_package = MODULES[module].name == "__init__.py"
    base = module.split(".") if module else []
    base = base[: len(base) - node.level + is_package]
    home = ".".join(base + ([node.module] if node.module else []))
    for alias in node.names:
        inner = f"{home}.{alias.name}" if home else alias.name
        yield inner if inner in MODULES else home


@cache
def _imports(module: str) -> frozenset[tuple[str, bool]]:
    """What a module imports, and whether inside a function."""
    return frozenset(
        (target, inside)
        for node, inside in _nodes(_tree(module))
        for target in _targets(module, node)
    )


def _parents(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[:i]) for i in range(1, len(parts))}


def _closure(*roots: str) -> set[str]:
    """Modules that importing the roots loads, the package's own ``__init__`` apart."""
    found: set[str] = set()
    waiting = set(roots)
    while waiting:
        module = waiting.pop()
        found.add(module)
        named = {target for target, inside in _imports(module) if not inside}
        waiting |= ((named | _parents(module)) & MODULES.keys()) - found - {""}
    return found


VERIFYING = _closure("_verify")


def _rank(module: str) -> int:
    """Higher modules may import lower ones, and those of their own folder."""
    first, *inner = module.split(".")
    if first in ORDER:
        return 1 + ORDER.index(first)
    if first in VERBS:
        return 1 + len(ORDER)
    high = inner or first.startswith("_") or (PACKAGE / first).is_dir() or not first
    return 2 + len(ORDER) if high else 0


def test_no_arrow_goes_up() -> None:
    found = {
        f"{module} imports {target}"
        for module in MODULES
        for target, inside in _imports(module)
        if target in MODULES and target and _rank(target) > _rank(module)
    }
    assert not found


def test_nothing_is_imported_in_circles() -> None:
    """Taking away modules that import none of the others leaves nothing."""
    left = {m: {t for t, _ in _imports(m) if t in MODULES and t != m} for m in MODULES if m}
    while free := {module for module, needs in left.items() if not needs & left.keys()}:
        for module in free:
            del left[module]
    assert not left, f"in circles, or above one: {sorted(left)}"


def test_verifying_imports_nothing_of_the_prover() -> None:
    above = {m for m in VERIFYING if _rank(m) > 1 + len(ORDER)}
    assert not above
    inside = {
        (module, target)
        for module in VERIFYING
        for target, inside in _imports(module)
        if inside and target in MODULES and _rank(target) > 1 + len(ORDER)
    }
    assert not inside


def test_verifying_needs_numpy_alone() -> None:
    needed = {
        target.split(".")[0]
        for module in VERIFYING
        for target, _ in _imports(module)
        if target not in MODULES
    }
    assert needed - set(sys.stdlib_module_names) - {"zktrain"} == {"numpy"}


def test_lines_of_verifying_have_a_budget() -> None:
    lines = sum(map(_lines, VERIFYING))
    print(f"verifying imports {len(VERIFYING)} modules of {lines:,} lines; {BUDGET:,} are allowed")
    assert lines <= BUDGET


def test_no_module_is_long() -> None:
    assert not {module for module in MODULES if _lines(module) > LONGEST}


@pytest.mark.parametrize("folder", PAIRED)
def test_provers_stand_beside_what_verifies(folder: str) -> None:
    twins = {m.removeprefix("prover.") for m in MODULES if m.startswith(f"prover.{folder}.")}
    assert twins or folder == "transcript"
    alone = {module for module in ALONE if module.startswith(f"{folder}.")}
    assert twins - MODULES.keys() == alone


def _messages(module: str, arrow: str) -> list[str]:
    """Labels of the messages in the order of the text, where they are written down."""
    return [line for line in MODULES[module].read_text().splitlines() if line.endswith(arrow)]


@pytest.mark.parametrize(
    "module", [m for m in MODULES if f"prover.{m}" in MODULES and m.count(".") == 1]
)
def test_what_one_twin_sends_the_other_receives(module: str) -> None:
    """A module whose prover sends marked messages receives marked ones, and the other way. What
    draws challenges for both sides may stand on the verifier's."""
    sent, received = (_messages(name, "# P -> V") for name in (f"prover.{module}", module))
    assert bool(sent) == bool(received)
    assert _messages(module, "# V -> P") or not _messages(f"prover.{module}", "# V -> P")


def test_the_order_is_that_of_the_folders() -> None:
    assert all((PACKAGE / folder).is_dir() for folder in ORDER)
    assert all(_rank(low) < _rank(high) for low, high in pairwise(ORDER))
    assert _rank("errors") < _rank("field.goldilocks") < _rank("_verify") < _rank("prover.witness")
