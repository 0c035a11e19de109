"""Draw figures and report again from committed results.

    python benchmarks/plot.py benchmarks/results/bench.json [--out FOLDER] [--docs FOLDER] [--table]
    python benchmarks/plot.py benchmarks/results/ezkl.json ...

The same JSON gives the same files; nothing is measured. ``--docs`` also puts the README's figures
into a folder, ``--table`` prints its table.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from zktrain._bench import REPORT, draw
from zktrain.benchmarking.report import markdown
from zktrain.ezkl import against, against_report

README_FIGURES = {"run": "demo.png", "sweep-2-width": "width.png", "ezkl": "ezkl.png"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--out", type=Path, help="by default beside the result")
    parser.add_argument("--docs", type=Path, help="where the README's figures go")
    parser.add_argument("--table", action="store_true", help="print the README's table")
    options = parser.parse_args()
    out = options.out or options.result.parent
    result = json.loads(options.result.read_text())
    compared = result["format"] == against.FORMAT
    written = against.draw(result, out) if compared else [*draw(result, out), out / REPORT]
    if options.docs is not None:
        for path in list(written):
            if path.stem in README_FIGURES:
                copy = options.docs / README_FIGURES[path.stem]
                copy.write_bytes(path.read_bytes())
                written.append(copy)
    for path in written:
        print(f"{path} written", file=sys.stderr)
    if options.table:
        print(against_report.markdown(result) if compared else markdown(result))


if __name__ == "__main__":
    main()
