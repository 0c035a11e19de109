"""Every error term has its argument in the documentation, and every paper that one rests on was
read."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from test_soundness_terms import CASES

from zktrain.circuit.circuit import Circuit
from zktrain.dataset.commitment import DatasetHeader
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Evaluation, Training

ROOT = Path(__file__).parents[1]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
REFERENCES = (ROOT / "docs" / "references.md").read_text()
BUDGET = PROTOCOL.partition("## 14. ")[2].partition("## 15. ")[0]
NOT_PROVEN = {"hash collisions"}


def _names() -> set[str]:
    """Of the terms of training and evaluating a network over images, hiding, and a dense one."""
    path = ROOT / "circuits" / "fashion-lenet5.circuit.json"
    circuit = Circuit.from_json(path.read_bytes())
    header = DatasetHeader(1024, circuit.features, circuit.classes, bytes(32), 4)
    counts = ((1024,) + (0,) * (circuit.classes - 1),) + ((0,) * circuit.classes,) * (
        circuit.classes - 1
    )
    stated = [
        CASES["five steps"].statement(),
        Statement(Training(circuit, "00" * 32, "00" * 32), header, 80, True),
        Statement(Evaluation(circuit, "00" * 32, counts), header, 80, True),
    ]
    found = {term.name for statement in stated for term in statement.soundness_terms}
    return {re.sub(r" at rate .*|, level .*", "", name) for name in found} - NOT_PROVEN


def _arguments() -> dict[str, str]:
    """Term and argument, as the table of sources has them."""
    table = BUDGET.partition("| term | argument |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return {row[0]: row[1] for row in rows}


def _computed() -> dict[str, list[str]]:
    """Rows of the table of terms: of the proof, then of the certificate."""
    path = ROOT / "circuits" / "fashion-mlp-128.circuit.json"
    circuit = Circuit.from_json(path.read_bytes())
    header = DatasetHeader(60000, 784, 10, bytes(32), 64)
    statement = Statement(Training(circuit, "00" * 32, "00" * 32), header, 100, True)
    out: dict[str, list[str]] = {}
    for column, (part, matrices) in enumerate([("training", 2), ("dataset certificate", 1)]):
        seen: Counter[str] = Counter()
        for term in statement.soundness_terms:
            if term.part == part:
                name, at, _ = term.name.partition(" at rate ")
                if at:
                    level, seen[name] = max(0, seen[name] - matrices + 1), seen[name] + 1
                    name = f"{name}, level {level}"
                row = out.setdefault(name, ["", ""])
                row[column] += f"{', ' if row[column] else ''}{term.bits:.2f}"
    return {**out, "**union of all**": [f"**{statement.union_bits:.2f}**", ""]}


def test_the_table_of_terms_is_that_of_the_code() -> None:
    table = BUDGET.partition("| term, bits | proof | certificate |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    stated = {row[0]: row[1:] for row in rows}
    assert stated.pop("hash collisions (assumed)") == ["128", ""]
    assert stated == _computed()


def test_every_term_has_an_argument() -> None:
    assert _names() == set(_arguments())


def test_arguments_name_a_section_or_a_paper_that_was_read() -> None:
    for term, argument in _arguments().items():
        sections = re.findall(r"(?:^|[:;,] |and )(\d+(?:\.\d+)?)\b", argument)
        papers = re.findall(r"\[(\w+), [^\]]+\]", argument)
        assert sections or papers, term
        for section in sections:
            assert re.search(rf"^###? {re.escape(section)}\.? ", PROTOCOL, re.MULTILINE), section
        for paper in papers:
            entry = REFERENCES.partition(f"**[{paper}]**")[2].partition("\n- **[")[0]
            assert "**Read:**" in entry, f"{term} rests on [{paper}], which nobody has read"


def test_theorems_that_bounds_are_taken_from_are_stated() -> None:
    """Where the code names a theorem, the references say what it says."""
    named = set()
    for path in (ROOT / "zktrain").rglob("*.py"):
        text = " ".join(path.read_text().split())
        named |= set(re.findall(r"\[(\w+), (Theorem [\d.]+)\]", text))
    assert named >= {("BCIKS20", "Theorem 4.1"), ("BCIKS20", "Theorem 1.6")}
    for paper, theorem in named:
        entry = REFERENCES.partition(f"**[{paper}]**")[2].partition("\n- **[")[0]
        assert f"*{theorem}*" in entry, (paper, theorem)


def test_no_source_of_a_bound_is_an_abstract() -> None:
    """The paper whose abstract was read is not named."""
    for path in [*(ROOT / "zktrain").rglob("*.py"), *(ROOT / "docs").glob("*.md")]:
        assert "BCHKS25" not in path.read_text(), path
