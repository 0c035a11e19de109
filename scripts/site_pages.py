"""Pages of the documentation site that are not in docs/, and links that leave docs/.

README.md, SECURITY.md and CHANGELOG.md become pages. Links between them and docs/ lead to pages of
the site; a link to a file that the site does not have becomes the file's path in the source.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^()\s]+)\)")


def rewritten(text: str, folder: str) -> str:
    """``text`` of a page in ``folder`` of the source, its links as the site has them; the site's
    pages from the root are in the folder docs."""
    site = "docs" if folder in ("", "docs") else folder

    def link(found: re.Match[str]) -> str:
        mark, words, target = found.groups()
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        path, _, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(folder, path))
        page = posixpath.join("docs", PAGES[path]) if path in PAGES else path
        if not page.startswith("docs/"):
            return f"`{path}`" if words.strip("`/ ") in path else f"{words} (`{path}`)"
        away = posixpath.relpath(page, site)
        return f"{mark}[{words}]({away}{'#' + anchor if anchor else ''})"

    return LINK.sub(link, text)


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that are made of files in the root."""
    for name, page in PAGES.items():
        text = rewritten((ROOT / name).read_text(), "")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of the pages in docs/."""
    if page.file.src_uri in PAGES.values():
        return markdown
    return rewritten(
        markdown, posixpath.join("docs", posixpath.dirname(page.file.src_uri)).rstrip("/")
    )
