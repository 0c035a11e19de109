"""Every comparison of the verifier, found in its syntax tree, to be watched or taken out.

A *site* is one comparison whose outcome can refuse something: a disjunct of the condition before a
``raise`` or before the sentence that a function like ``violation`` returns, a ``raise`` that no
condition guards, the translation of an error in an ``except``, or the call of a check. Sites are in
the functions that the verbs of verification reach by name, in the modules that these import.

A site is taken out by giving its function another code object, compiled from the changed syntax
tree: no file is touched, and whoever has imported the function gets the changed one. Removed, a
condition does not hold, a call of ``check`` does nothing, and a call of a function that checks
(``merkle.verify``, ``channel.finish``) runs with all comparisons inside it removed, so that it
reads the messages that it would read.
"""

from __future__ import annotations

import ast
import builtins
import copy
import importlib
import re
import types
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import zktrain
from zktrain.errors import ZktrainError
from zktrain.field.forms import Form
from zktrain.transcript.channel import several

ROOT = Path(zktrain.__file__).resolve().parents[1]
GROUPS = {
    "native": (("_verify", "verify"), ("_verify", "verify_eval")),
    "data": (("dataset.readers", "read_dataset"),),
    "ezkl": (("ezkl._verify", "verify"),),
}
"""Module and function of every verb of verification; a group has no site of the ones before it.

``data``: what reads the records of who verifies proofs by ezkl. Whatever comes out of it has to
have the dataset's root, so that it can refuse, or take too much, but makes no proof accepted.
"""

_APART = ("checked", "recipe_values")
"""The boundary of the public functions, of which another test goes over all signatures; and the
values of a recipe, which no verifier reads."""
_CALL = re.compile(r"^_?(check|verify|finish|close|require|refuse|expect|receive_work)(_|$)")
_SENTENCE = re.compile(r"violation|problem|misfit|miscount|weakness")
MAX_TEXT = 88


@dataclass(frozen=True)
class Site:
    """One comparison: ``name`` survives moved lines and other checks before or after it."""

    module: str
    function: str
    kind: str
    text: str
    refusal: str
    ordinal: int

    @property
    def compares(self) -> bool:
        """Whether a call is the comparison itself, and not that of a function that compares."""
        return bool(re.search(r"check\((lambda|difference)\b", self.text))

    @property
    def place(self) -> str:
        return f"{self.module}.{self.function}"

    @property
    def name(self) -> str:
        again = f" #{self.ordinal}" if self.ordinal > 1 else ""
        return f"{self.place}: {self.text}{again}"


# What the changed code calls.


@dataclass
class _State:
    removed: dict[str, bool] = field(default_factory=dict)
    """By name: whether checks on hidden scalars stay."""
    fired: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    muted: int = 0


STATE = _State()


def _refuses(name: str, value: Any) -> Any:
    if not value:
        return value
    if STATE.muted or name in STATE.removed:
        return False
    STATE.fired.add(name)
    return value


def _holds(name: str, value: Any) -> Any:
    if value:
        return value
    if STATE.muted or name in STATE.removed:
        return True
    STATE.fired.add(name)
    return value


def _translates(name: str) -> bool:
    if name in STATE.removed:
        return False
    STATE.fired.add(name)
    return True


def _checks(name: str, callee: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    removed = name in STATE.removed
    if len(args) == 2 and isinstance(args[1], ZktrainError):  # a difference that must be 0
        hiding = getattr(getattr(callee, "__self__", None), "hiding", False)
        stays = hiding and STATE.removed.get(name, False)
        if (removed and not stays) or STATE.muted:
            return None
        if kwargs.get("late"):
            return callee(_noted(name, args[0]), args[1], late=True)
    elif removed:
        STATE.muted += 1
        try:
            return callee(*args, **kwargs)
        finally:
            STATE.muted -= 1
    try:
        return callee(*args, **kwargs)
    except Exception:
        STATE.fired.add(name)
        raise


def _noted(name: str, difference: Callable[[], Any]) -> Callable[[], Any]:
    """Of a check that refuses later."""

    def found() -> Any:
        value = difference()
        if any(not isinstance(part, Form) and part for part in several(value)):
            STATE.fired.add(name)
        return value

    return found


_HOOKS = {
    "_zk_refuses": _refuses,
    "_zk_holds": _holds,
    "_zk_translates": _translates,
    "_zk_checks": _checks,
}
for _name, _hook in _HOOKS.items():
    setattr(builtins, _name, _hook)


# The modules and functions of the verifier.


def _path(module: str) -> Path:
    base = ROOT.joinpath("zktrain", *module.split(".")) if module else ROOT / "zktrain"
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text())


def _imports(module: str) -> Iterator[str]:
    """Modules of the package that ``module`` imports when it is imported."""
    package = module if _path(module).name == "__init__.py" else module.rpartition(".")[0]
    for node in _tree(module).body:
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        parts = package.split(".") if package else []
        parts = parts[: len(parts) - node.level + 1]
        base = ".".join(parts + (node.module.split(".") if node.module else []))
        if _path(base).exists():
            yield base
        for alias in node.names:
            inner = f"{base}.{alias.name}" if base else alias.name
            if _path(inner).exists():
                yield inner


def modules_of(roots: Sequence[str]) -> list[str]:
    """The import closure, without the package itself."""
    found, todo = set(), list(roots)
    while todo:
        module = todo.pop()
        if module and module not in found and module not in _APART:
            found.add(module)
            todo += _imports(module)
    return sorted(found)


_Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def _functions(module: str) -> dict[str, ast.FunctionDef]:
    """Top-level functions and methods by qualified name."""
    out = {}
    for node in _tree(module).body:
        if isinstance(node, ast.FunctionDef):
            out[node.name] = node
        elif isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.FunctionDef):
                    out[f"{node.name}.{item.name}"] = item
    return out


@cache
def _uses(module: str, function: str) -> frozenset[str]:
    """All names and attributes in a function."""
    found = set()
    for node in ast.walk(_functions(module)[function]):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return frozenset(found)


@cache
def _module_uses(module: str) -> frozenset[str]:
    """Names at module level outside functions: tables of readers, defaults."""
    found = set()
    for node in _tree(module).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            found |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return frozenset(found)


def _reached(roots: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The functions whose name occurs in a reached function; of a used class, the special
    methods."""
    modules = modules_of([module for module, _ in roots])
    by_name: dict[str, list[tuple[str, str]]] = {}
    tables: dict[str, set[str]] = {}
    for module in modules:
        for node in _tree(module).body:  # names that a module's tables stand for
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                inside = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
                for target in targets:
                    if isinstance(target, ast.Name):
                        tables.setdefault(target.id, set()).update(inside)
        for qualified in _functions(module):
            owner, _, name = qualified.rpartition(".")
            by_name.setdefault(owner if name.startswith("__") else name, []).append(
                (module, qualified)
            )
    found: set[tuple[str, str]] = set()
    names: set[str] = set()
    todo = list(roots)
    while todo:
        place = todo.pop()
        if place in found:
            continue
        found.add(place)
        fresh = list(_uses(*place) - names)
        while fresh:
            name = fresh.pop()
            if name not in names:
                names.add(name)
                fresh += tables.get(name, ())
                todo += by_name.get(name, ())
    return sorted(found)


# Finding and rewriting sites.


def _text(node: ast.AST) -> str:
    text = re.sub(r"\s+", " ", ast.unparse(node))
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


class _Rewriter:
    """Finds the sites of a function and rewrites those that ``wanted`` accepts."""

    def __init__(self, module: str, function: str, wanted: Callable[[Site], bool]) -> None:
        self.module, self.function, self.wanted = module, function, wanted
        self.sites: list[Site] = []
        self._seen: Counter[str] = Counter()
        self._caught = 0

    def _site(self, kind: str, text: str, refusal: ast.AST) -> Site:
        self._seen[text] += 1
        spoken = re.sub(r"\s+", " ", ast.unparse(refusal))
        site = Site(self.module, self.function, kind, text, spoken, self._seen[text])
        self.sites.append(site)
        return site

    def _wrap(self, hook: str, site: Site, *values: ast.expr) -> ast.expr:
        call = ast.Call(ast.Name(hook, ast.Load()), [ast.Constant(site.name), *values], [])
        return ast.copy_location(call, values[0]) if values else call

    # Conditions: ``refuses`` is true where the condition refuses by being true.

    def condition(self, node: ast.expr, refusal: ast.AST, refuses: bool = True) -> ast.expr:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            node.operand = self.condition(node.operand, refusal, not refuses)
            return node
        split = ast.Or if refuses else ast.And
        if isinstance(node, ast.BoolOp) and isinstance(node.op, split):
            node.values = [self.condition(v, refusal, refuses) for v in node.values]
            return node
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == ("any" if refuses else "all")
            and len(node.args) == 1
            and isinstance(node.args[0], ast.GeneratorExp)
            and self._splits(node.args[0].elt, refuses)
        ):
            node.args[0].elt = self.condition(node.args[0].elt, refusal, refuses)
            return node
        if isinstance(node, ast.Compare):
            parts = self._comparisons(node, refuses)
            if len(parts) > 1:
                values = [self.condition(part, refusal, refuses) for part in parts]
                return ast.copy_location(ast.BoolOp(split(), values), node)
        text = _text(node) if refuses else f"not {_text(node)}"
        site = self._site("condition", text, refusal)
        if not self.wanted(site):
            return node
        return self._wrap("_zk_refuses" if refuses else "_zk_holds", site, node)

    def _splits(self, node: ast.expr, refuses: bool) -> bool:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self._splits(node.operand, not refuses)
        if isinstance(node, ast.BoolOp):
            return isinstance(node.op, ast.Or if refuses else ast.And)
        return isinstance(node, ast.Compare) and len(self._comparisons(node, refuses)) > 1

    def _comparisons(self, node: ast.Compare, refuses: bool) -> list[ast.expr]:
        """A chain refuses by any of its links, a pair by any of its members."""
        terms = [node.left, *node.comparators]
        if not refuses and len(node.ops) > 1 and all(map(_repeatable, terms[1:-1])):
            return [
                ast.copy_location(ast.Compare(copy.deepcopy(a), [op], [copy.deepcopy(b)]), node)
                for a, op, b in zip(terms, node.ops, terms[1:], strict=False)
            ]
        left, right = terms[0], terms[-1]
        if (
            len(node.ops) == 1
            and isinstance(node.ops[0], ast.NotEq if refuses else ast.Eq)
            and isinstance(left, ast.Tuple)
            and isinstance(right, ast.Tuple)
            and len(left.elts) == len(right.elts)
        ):
            return [
                ast.copy_location(ast.Compare(a, [node.ops[0]], [b]), node)
                for a, b in zip(left.elts, right.elts, strict=True)
            ]
        return [node]

    # Statements.

    def body(self, statements: list[ast.stmt], sentence: bool) -> list[ast.stmt]:
        for node, following in pairwise(statements):
            if sentence and _lets_pass(node) and isinstance(following, ast.Return):
                assert isinstance(node, ast.If)
                if isinstance(following.value, ast.JoinedStr | ast.BinOp | ast.Constant):
                    node.test = self.condition(node.test, following, refuses=False)
        return [self.statement(statement, sentence) for statement in statements]

    def statement(self, node: ast.stmt, sentence: bool) -> ast.stmt:
        match node:
            case ast.If():
                last = node.body[-1]
                if self._refuses(last, sentence):
                    node.test = self.condition(node.test, last)
                    node.body = [*self.body(node.body[:-1], sentence), last]
                else:
                    node.body = self.body(node.body, sentence)
                node.orelse = self.body(node.orelse, sentence)
            case ast.For() | ast.While():
                node.body = self.body(node.body, sentence)
                node.orelse = self.body(node.orelse, sentence)
            case ast.With():
                node.body = self.body(node.body, sentence)
            case ast.Try():
                self._caught += 1
                node.body = self.body(node.body, sentence)
                self._caught -= 1
                node.orelse = self.body(node.orelse, sentence)
                node.finalbody = self.body(node.finalbody, sentence)
                for handler in node.handlers:
                    self._handler(handler, sentence)
            case ast.Match():
                for case in node.cases:
                    case.body = self.body(case.body, sentence)
            case ast.FunctionDef():
                node.body = self.body(node.body, sentence)
            case ast.Raise() | ast.Expr() if not self._speaks and self._refuses(node, sentence):
                site = self._site("raise", _text(node), node)
                if self.wanted(site):
                    test = self._wrap("_zk_refuses", site, ast.Constant(True))
                    return ast.copy_location(ast.If(test, [node], []), node)
            case ast.Return(value=ast.IfExp() as choice) if sentence:
                if isinstance(choice.body, ast.Constant) and choice.body.value is None:
                    choice.test = self.condition(choice.test, choice.orelse, refuses=False)
                elif isinstance(choice.orelse, ast.Constant) and choice.orelse.value is None:
                    choice.test = self.condition(choice.test, choice.body)
            case ast.Expr(value=ast.Call() as call) if _checks_something(call):
                arguments = ", ".join(_text(a) for a in call.args[:2] if _telling(a))
                text = f"call {_text(call.func)}({arguments})"
                site = self._site("call", text[:MAX_TEXT], call)
                if self.wanted(site):
                    node.value = ast.copy_location(
                        ast.Call(
                            ast.Name("_zk_checks", ast.Load()),
                            [ast.Constant(site.name), call.func, *call.args],
                            call.keywords,
                        ),
                        call,
                    )
        return node

    def _handler(self, handler: ast.ExceptHandler, sentence: bool) -> None:
        last = handler.body[-1]
        if (isinstance(last, ast.Raise) and last.exc is not None) or _only_speaks(last):
            caught = _text(handler.type) if handler.type is not None else "anything"
            site = self._site("translation", f"except {caught}", last)
            if self.wanted(site):
                test = self._wrap("_zk_translates", site)
                handler.body[-1] = ast.copy_location(
                    ast.If(ast.copy_location(test, last), [last], [ast.Raise()]), last
                )
            return
        handler.body = self.body(handler.body, sentence)

    def _refuses(self, node: ast.stmt, sentence: bool) -> bool:
        match node:
            case ast.Raise(exc=None):
                return False
            case ast.Raise():
                # errors of the programmer, unless they are caught to be translated
                name = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                programmer = isinstance(name, ast.Name) and name.id in _PROGRAMMER
                return not programmer or bool(self._caught) or bool(_READER.search(self.function))
            case ast.Return(value=None):
                return False
            case ast.Return(value=ast.Constant(value=None)):
                return False
            case ast.Return():
                return sentence
        return _only_speaks(node)

    @property
    def _speaks(self) -> bool:
        """Functions that only raise: their callers have the conditions."""
        return self.function in _speakers()


_READER = re.compile(r"(^|\.)(from_\w+|_?parse\w*|_?read\w*|integer|__post_init__)$")
_PROGRAMMER = {"ValueError", "TypeError", "RuntimeError", "NotImplementedError", "KeyError",
               "LookupError", "IndexError", "AssertionError", "ZeroDivisionError"}  # fmt: skip


def _lets_pass(node: ast.stmt) -> bool:
    """``if good: return None``."""
    match node:
        case ast.If(body=[ast.Return(value=ast.Constant(value=None))], orelse=[]):
            return True
    return False


@cache
def _speakers() -> frozenset[str]:
    """Functions that do nothing but raise."""
    roots = [module for verbs in GROUPS.values() for module, _ in verbs]
    return frozenset(
        function.name
        for module in modules_of(roots)
        for function in _functions(module).values()
        if function.returns is not None and ast.unparse(function.returns) == "NoReturn"
    )


def _only_speaks(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Call() as call):
            return _callee(call) in _speakers()
    return False


def _callee(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _checks_something(call: ast.Call) -> bool:
    name = _callee(call)
    if name in ("close", "finish") and not isinstance(call.func, ast.Attribute):
        return False
    if name == "close" and ast.unparse(call.func) != "channel.close":
        return False  # a file
    return bool(_CALL.match(name))


def _telling(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant | ast.JoinedStr | ast.Name | ast.Attribute | ast.Lambda)


def _repeatable(node: ast.expr) -> bool:
    if isinstance(node, ast.Attribute):
        return _repeatable(node.value)
    if isinstance(node, ast.Call):  # len and the like
        simple = isinstance(node.func, ast.Name) and node.func.id in ("len", "int", "min", "max")
        return simple and all(map(_repeatable, node.args))
    if isinstance(node, ast.BinOp):
        return _repeatable(node.left) and _repeatable(node.right)
    return isinstance(node, ast.Name | ast.Constant)


def _rewrite(
    module: str, tree: ast.Module, places: Sequence[str], wanted: Callable[[Site], bool]
) -> list[Site]:
    """Sites of the functions in ``places``, rewritten in ``tree`` where they are wanted."""
    out: list[Site] = []
    for node in tree.body:
        inside = [("", node)]
        if isinstance(node, ast.ClassDef):
            inside = [(f"{node.name}.", item) for item in node.body]
        for owner, item in inside:
            if not isinstance(item, ast.FunctionDef) or owner + item.name not in places:
                continue
            returns = "" if item.returns is None else ast.unparse(item.returns)
            sentence = returns == "str | None" and bool(_SENTENCE.search(item.name))
            rewriter = _Rewriter(module, owner + item.name, wanted)
            item.body = rewriter.body(item.body, sentence)
            out += rewriter.sites
    return out


@cache
def _places(group: str) -> tuple[tuple[str, str], ...]:
    return tuple(_reached(GROUPS[group]))


@cache
def sites(group: str) -> tuple[Site, ...]:
    """All sites of a group, by module and place in it."""
    names = list(GROUPS)
    before = {p for g in names[: names.index(group)] for p in _places(g)}
    by_module: dict[str, list[str]] = {}
    for module, function in _places(group):
        if (module, function) not in before:
            by_module.setdefault(module, []).append(function)
    out: list[Site] = []
    for module, places in by_module.items():
        out += _rewrite(module, copy.deepcopy(_tree(module)), places, lambda site: False)
    return tuple(out)


@cache
def all_sites() -> dict[str, Site]:
    """By name."""
    found = [site for group in GROUPS for site in sites(group)]
    out = {site.name: site for site in found}
    if len(out) != len(found):
        raise LookupError("two sites have the same name")
    return out


def find(name: str) -> Site:
    """The one site that ``module.function: part of its text or of its refusal`` means."""
    known = all_sites()
    if name in known:
        return known[name]
    found = find_all(name)
    if len(found) != 1:
        raise LookupError(f"{len(found)} sites are meant by {name!r}: {[s.name for s in found]}")
    return found[0]


def find_all(name: str) -> list[Site]:
    """Every site with this in its text or its refusal."""
    place, _, part = name.partition(": ")
    here = [site for site in all_sites().values() if site.place == place]
    return [site for site in here if part in site.text] or [
        site for site in here if part in site.refusal
    ]


# Changing the code of living functions.


def _unwrapped(found: Any) -> types.FunctionType:
    while not isinstance(found, types.FunctionType):
        for inner in ("__wrapped__", "__func__", "fget", "func"):
            if getattr(found, inner, None) is not None:
                found = getattr(found, inner)
                break
        else:
            raise LookupError(f"{found!r} is no function")
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    return found  # type: ignore[no-any-return]


@cache
def _live(module: str, function: str) -> types.FunctionType:
    """The function that is called under this name, whatever decorates it."""
    found: Any = importlib.import_module(f"zktrain.{module}")
    for part in function.split("."):
        found = vars(found)[part]
    return _unwrapped(found)


@cache
def _caches() -> list[tuple[Any, frozenset[tuple[str, str]]]]:
    """Every function with a memory, and what it may call."""
    out = []
    for module in {site.module for site in all_sites().values()}:
        space = vars(importlib.import_module(f"zktrain.{module}"))
        for name, found in space.items():
            if callable(getattr(found, "cache_clear", None)) and name in _functions(module):
                out.append((found, frozenset(_reached([(module, name)]))))
    return out


def _forget(changed: Sequence[Site]) -> None:
    places = {(site.module, site.function) for site in changed}
    for found, reached in _caches():
        if places & reached:
            found.cache_clear()


def _codes(code: types.CodeType) -> dict[str, types.CodeType]:
    out = {}
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            out[inner.co_qualname] = inner
            if "<locals>" not in inner.co_qualname:
                out |= _codes(inner)
    return out


@cache
def _compiled(module: str, names: frozenset[str]) -> dict[str, types.CodeType]:
    """New code of the functions of a module in which these sites are under control."""
    tree = copy.deepcopy(_tree(module))
    functions = {all_sites()[name].function for name in names}
    _rewrite(module, tree, sorted(functions), lambda site: site.name in names)
    code = compile(ast.fix_missing_locations(tree), str(_path(module)), "exec", dont_inherit=True)
    found = _codes(code)
    return {function: found[function] for function in functions}


_active: list[frozenset[str]] = []


@contextmanager
def controlled(names: Sequence[str]) -> Iterator[None]:
    """These sites (beside those of an enclosing ``controlled``) obey ``STATE``."""
    wanted = frozenset(names).union(*_active[-1:])
    before = []
    _active.append(wanted)
    try:
        by_module: dict[str, set[str]] = {}
        for name in wanted:
            by_module.setdefault(all_sites()[name].module, set()).add(name)
        for module, inside in by_module.items():
            for function, code in _compiled(module, frozenset(inside)).items():
                live = _live(module, function)
                before.append((live, live.__code__))
                live.__code__ = code
        yield
    finally:
        _active.pop()
        for live, code in reversed(before):
            live.__code__ = code


@contextmanager
def removed(*found: Site, clear_only: bool = False) -> Iterator[None]:
    """The verifier without these sites. With ``clear_only`` checks on hidden scalars stay: a proof
    that was made with a check does not satisfy the sum of all without it."""
    names = [site.name for site in found]
    control = names
    if any(site.kind == "call" and not site.compares for site in found):
        control = list(all_sites())
    STATE.named |= set(names)
    with controlled(control):
        old = STATE.removed
        STATE.removed = {**dict.fromkeys(names, clear_only), **old}
        _forget(found)
        try:
            yield
        finally:
            STATE.removed = old
            _forget(found)


@contextmanager
def watched(*found: Site) -> Iterator[set[str]]:
    """The names of those sites that refuse something meanwhile."""
    with controlled([site.name for site in found]):
        old = STATE.fired
        STATE.fired = set()
        _forget(found)
        try:
            yield STATE.fired
        finally:
            STATE.fired = old | STATE.fired


def refused_by(
    check: str | Sequence[Site],
    attack: Callable[[], object],
    error: type[ZktrainError] = ZktrainError,
    message: str = "",
) -> ZktrainError:
    """Assert that ``attack`` is refused by this one check, and accepted when only that is gone.

    ``check`` is ``module.function: part of its text or of its refusal``, or its sites. Where
    ``error`` is given, exactly that is raised.
    """
    found = [find(check)] if isinstance(check, str) else list(check)
    with watched(*found) as fired, pytest.raises(error, match=re.escape(message) or None) as e:
        attack()
    names = [site.name for site in found if site.name in fired]
    assert len(names) == 1, f"refused by another check than {found}: {e.value}"
    assert type(e.value) is error or error is ZktrainError
    with removed(find(names[0])):
        attack()
    return e.value
