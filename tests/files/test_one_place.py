"""Nothing in the package opens, writes, renames or locks a file but these three modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import zktrain

PACKAGE = Path(zktrain.__file__).parent
HERE = ("files.py", "disk.py", "locks.py")
ELSEWHERE = {
    "benchmarking": "works in temporary folders of its own, with files that it has written",
}
KNOWN = {
    ("caches.py", "mkdir"): "every folder above a cache that it makes is its owner's alone",
    ("cli/streams.py", "os.open"): "the null device in the place of closed standard streams",
    ("cost/calibration.py", "read_text"): "a file of the package",
    ("prover/kernels/ntt.py", "read_text"): "what the system says of its cache",
    ("ezkl/child.py", "write_bytes"): "for a library that wants files, in a folder of its own",
    ("ezkl/evm.py", "chmod"): "a program in a folder of its own",
    ("ezkl/folders.py", "tempfile"): "where the system has temporary files",
    ("prover/cluster.py", "tempfile"): "where a library has logs and locks of its own",
    ("ezkl/native.py", "open"): "standard error of a process, in a folder of its own",
    ("machine.py", "read_text"): "what the system says of its memory",
    ("profile.py", "read_bytes"): "what the system says of this process",
    ("scratch.py", "mmap"): "arrays in files without a name",
    ("scratch.py", "mmap.mmap"): "arrays in files without a name",
    ("scratch.py", "tempfile"): "arrays in files without a name",
    ("training/run.py", "np.save"): "into memory",
    ("training/run.py", "np.savez"): "into memory",
}
DOTTED = {
    "open", "gzip.open", "mmap.mmap", "np.load", "np.save", "np.savez", "np.fromfile",
    "np.memmap", "fcntl.flock", "shutil.rmtree", "shutil.copy", "shutil.move", "safe_open",
    "io.open", "io.FileIO", *(f"os.{name}" for name in (
        "open", "replace", "rename", "unlink", "remove", "mkdir", "makedirs", "fsync", "link",
        "symlink", "chmod", "truncate", "rmdir",
    )),
}  # fmt: skip
METHODS = {
    "read_bytes", "read_text", "write_bytes", "write_text", "unlink", "mkdir", "rename", "touch",
    "rmdir", "symlink_to", "hardlink_to", "chmod", "tofile",
}  # fmt: skip
MODULES = {"tempfile", "mmap", "fcntl"}


def _uses(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            yield from MODULES & {*names, getattr(node, "module", None) or ""}
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in DOTTED:
            yield called
        elif isinstance(node.func, ast.Attribute) and called.split(".")[0] not in ("files", "disk"):
            if node.func.attr in METHODS:
                yield node.func.attr
            if node.func.attr == "open" and called.startswith("path"):
                yield "open"


def test_files_are_opened_and_written_in_one_place() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in HERE and name.split("/")[0] not in ELSEWHERE:
            found |= {(name, use) for use in _uses(ast.parse(path.read_text()))}
    assert found == set(KNOWN)


def test_the_search_finds_what_it_should() -> None:
    code = "import tempfile\nopen('x')\nos.replace(a, b)\nPath('x').write_bytes(b'')\npath.open()"
    code += "\nfiles.read_bytes(x)\nread_bytes(x)"
    assert sorted(_uses(ast.parse(code))) == [
        "open",
        "open",
        "os.replace",
        "tempfile",
        "write_bytes",
    ]
