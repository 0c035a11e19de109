"""What is written for people: lines that fit, and links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WIDTH = 120
FENCE = re.compile(r"^\s*```")
LINK = re.compile(r"\]\(([^()\s]+)\)")
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if "site" not in path.relative_to(ROOT).parts
)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _prose(text: str) -> str:
    """The text without its blocks and spans of code."""
    lines, inside = [], False
    for line in text.splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            lines.append(line)
    return re.sub(r"`[^`]*`", "``", "\n".join(lines))


def _headings(path: Path) -> set[str]:
    """Anchors of a page, made of its headings as the sites that show Markdown make them."""
    found: set[str] = set()
    inside = False
    for line in path.read_text().splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside and (match := re.match(r"#+ +(.*)", line)):
            text = re.sub(r"[^\w\- ]", "", match[1].strip().lower())
            found.add(text.replace(" ", "-"))
    return found


def _links() -> list[tuple[Path, str]]:
    """Every relative link with the page that it is on."""
    return [
        (page, target)
        for page in PAGES
        for target in LINK.findall(_prose(page.read_text()))
        if not re.match(r"[a-z]+:", target)
    ]


def test_there_are_pages_and_links() -> None:
    assert len(PAGES) > 15 and len(_links()) > 50


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_lines_fit(page: Path) -> None:
    long = [i for i, line in enumerate(page.read_text().splitlines(), 1) if len(line) > WIDTH]
    assert not long, f"{_name(page)}: lines of more than {WIDTH} characters: {long}"


def test_the_tour_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """All code of the page, from top to bottom, as it stands."""
    pytest.importorskip("torch")
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "tour.md").read_text(), re.S | re.M
    )
    assert len(blocks) >= 6
    monkeypatch.chdir(ROOT)
    exec("\n".join(blocks), {"__name__": "tour"})
    printed = capsys.readouterr().out
    assert "7 steps" in printed and "Affine" in printed


def test_relative_links_lead_somewhere() -> None:
    """The file is there, and so is the heading that a link names."""
    broken = []
    for page, link in _links():
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in _headings(path)):
            broken.append(f"{_name(page)}: {link}")
    assert not broken, broken


def test_paths_that_pages_name_are_there() -> None:
    """Files and folders of the source in spans of code, from the root or from the package."""
    named = re.compile(r"`((?:zktrain|tests|scripts|benchmarks|circuits|proofs|models)/[\w./-]*)`")
    missing = {
        f"{_name(page)}: {path}"
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for path in named.findall(page.read_text())
        if not (ROOT / path).exists()
    }
    assert not missing, missing


def test_what_goes_where_names_files_of_the_package() -> None:
    """The section of protocol.md that says what to touch for something new."""
    text = (ROOT / "docs" / "protocol.md").read_text()
    section = text.partition("## 17. ")[2].partition("## 18. ")[0]
    named = re.findall(r"`([a-z_]+/[\w./]*)", section)
    assert len(named) > 8
    missing = [path for path in named if not (ROOT / "zktrain" / path).exists()]
    assert not missing, missing
