"""Finding and removing comparisons, and the list of all of them with the tests that notice."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from check_sites import STATE, Site, _Rewriter, all_sites, find, refused_by, removed, watched

from zktrain.errors import MalformedProof
from zktrain.protocol import bundle

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("checks.txt")


def found(source: str, *, sentence: bool = False) -> list[str]:
    """Texts of the sites of one function."""
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    rewriter = _Rewriter("module", "function", lambda site: False)
    rewriter.body(function.body, sentence)
    return [site.text for site in rewriter.sites]


SOURCES: dict[str, tuple[str, list[str]]] = {
    "or": ("if a or not b: raise Bad(1)", ["a", "not b"]),
    "and": ("if a and b: raise Bad(1)", ["a and b"]),
    "not and": ("if not (a and b): raise Bad(1)", ["not a", "not b"]),
    "chain": ("if not 1 <= n <= top: raise Bad(1)", ["not 1 <= n", "not n <= top"]),
    "pairs": ("if (a, b) != (c, d): raise Bad(1)", ["a != c", "b != d"]),
    "any": ("if any(x < 0 or x > top for x in all_of): raise Bad(1)", ["x < 0", "x > top"]),
    "bare": ("raise Bad(1)", ["raise Bad(1)"]),
    "else": ("if good: return 1\nelse: raise Bad(1)", ["raise Bad(1)"]),
    "speaker": ("if a: malformed('x')", ["a"]),
    "call": ("channel.check(lambda: x - y, Bad(1))", ["call channel.check(lambda: x - y)"]),
    "same again": ("if a: raise Bad(1)\nif a: raise Bad(2)", ["a", "a"]),
    "bare speaker": ("malformed('x')", ["malformed('x')"]),
    "programmer": ("if a: raise ValueError(1)", []),
    "translation": (
        "try:\n  if a: raise ValueError(1)\nexcept ValueError:\n  raise Bad(1) from None",
        ["a", "except ValueError"],
    ),
    "spoken translation": ("try: f()\nexcept OSError: malformed('x')", ["except OSError"]),
    "prover's choice": ("if a: return 1", []),
}


@pytest.mark.parametrize("name", SOURCES)
def test_comparisons_are_found_one_by_one(name: str) -> None:
    source, wanted = SOURCES[name]
    body = "\n".join(f"  {line}" for line in source.splitlines())
    assert found(f"def f():\n{body}") == wanted


def test_sentences_are_refusals_too() -> None:
    source = "def f():\n  if a or b: return 'no'\n  return None if c else 'no'"
    assert found(source, sentence=True) == ["a", "b", "not c"]
    assert found(source) == []
    source = "def f():\n  if good and fine: return None\n  return f'{x} is not'"
    assert found(source, sentence=True) == ["not good", "not fine"]


def _frame() -> bytes:
    return b"ZKTRAIN\xff" + bytes(40)


def test_a_site_is_removed_and_comes_back() -> None:
    """The function is the same one before, meanwhile and after; others are as they were."""
    site = find("protocol.bundle.parse: magic[:7] != MAGIC[:7]")
    function, code = bundle.parse, bundle.parse.__code__
    with watched(site) as fired, pytest.raises(MalformedProof, match="not a zktrain proof"):
        bundle.parse(b"x" * 60)
    assert fired == {site.name}
    with removed(site), pytest.raises(MalformedProof) as seen:
        assert bundle.parse is function and function.__code__ is not code
        bundle.parse(b"x" * 60)
    assert "not a zktrain proof" not in str(seen.value)
    assert function.__code__ is code and not STATE.removed


def test_refused_by_knows_the_wrong_check() -> None:
    """An attack that something else refuses is no attack on this check."""
    with pytest.raises(AssertionError, match="another check"):
        refused_by("protocol.bundle.parse: magic[:7] != MAGIC[:7]", lambda: bundle.parse(_frame()))


def test_refused_by_knows_the_second_check() -> None:
    """An attack that is refused again when its check is gone is none either."""
    with pytest.raises(MalformedProof):
        refused_by("protocol.bundle.parse: magic[:7] != MAGIC[:7]", lambda: bundle.parse(b"x" * 60))


def test_names_are_unique_and_say_where() -> None:
    known = all_sites()
    assert len(known) > 300
    for name, site in known.items():
        assert isinstance(site, Site) and name.startswith(f"{site.place}: ")
        assert " | " not in name and "\n" not in name


def listed() -> dict[str, str]:
    lines = [line for line in LIST.read_text().splitlines() if not line.startswith("#")]
    assert lines == sorted(lines)
    return dict(line.rsplit(" | ", 1) for line in lines)  # type: ignore[misc]


def test_the_list_has_every_comparison_of_the_verifier() -> None:
    """A new one has no test that is about it, or nobody has said which: write it, then run
    ``scripts/remove_checks.py --all --new``."""
    known = listed()
    assert not set(all_sites()) - set(known), "comparisons that the list does not have"
    assert not set(known) - set(all_sites()), "comparisons that the code no longer has"
    assert "survives" not in known.values()


def test_the_tests_of_the_list_exist() -> None:
    """Each line names a test, its parameters included, or says why there is none."""
    named = {test for test in listed().values() if not test.startswith("equivalent: ")}
    for name, test in listed().items():
        assert test in named or len(test) > 30, name
    files = sorted({test.split("::")[0] for test in named})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *files]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert not named - set(found.stdout.splitlines())
