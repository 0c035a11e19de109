"""The harness that takes checks out of the verifier is in the tests of soundness."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "soundness"))
