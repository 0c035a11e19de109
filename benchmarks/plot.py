"""Draw figures and report again from committed results.

    python benchmarks/plot.py benchmarks/results/bench.json [--out FOLDER]

The same JSON gives the same files; nothing is measured.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from zktrain.bench import REPORT, draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--out", type=Path, help="by default beside the result")
    options = parser.parse_args()
    out = options.out or options.result.parent
    for path in draw(json.loads(options.result.read_text()), out):
        print(f"{path} written")
    print(f"{out / REPORT} written")


if __name__ == "__main__":
    main()
