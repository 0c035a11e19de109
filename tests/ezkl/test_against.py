"""The comparison of both backends: the same recipe with other steps, its table and figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from iris_run import ROOT

from zktrain import InputError
from zktrain.circuit.compile import compile_recipe
from zktrain.ezkl import against, against_report

RECIPE = ROOT / "circuits" / "iris-mlp-8.toml"


def test_a_recipe_with_other_steps_is_otherwise_the_same(tmp_path: Path) -> None:
    from dataclasses import replace

    changed = compile_recipe(against.with_steps(RECIPE, 7, tmp_path)).circuit
    assert changed == replace(compile_recipe(RECIPE).circuit, steps=7)


def test_a_recipe_on_one_line_is_refused(tmp_path: Path) -> None:
    text = RECIPE.read_text().replace("steps = 2", "'steps' = 2")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text.replace("../models", str(ROOT / "models")))
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="on lines of their own"):
        against.with_steps(recipe, 7, tmp_path / "other")


def part(scale: float, *, computed: bool) -> dict[str, Any]:
    return {
        "setup_seconds": 2 * scale,
        "setup_peak_bytes": 1,
        "proving_key_bytes": 3_000_000,
        "verifying_key_bytes": 5_000,
        "peak_bytes": 7_000_000,
        "prove_seconds": 11 * scale,
        "proof_bytes": 13_000,
        "verify_seconds": 17 * scale,
        "computed": computed,
    }


def entry() -> dict[str, Any]:
    return {
        "network": "4-8-3 perceptron with ReLU",
        "batch_size": 8,
        "training": {"steps": 1024, "float_seconds": 19.0, "integer_seconds": 23.0},
        "native": {"one": part(1, computed=False), "many": part(2, computed=False)},
        "ezkl": {"one": part(3, computed=True), "many": part(4, computed=True)},
        "verify_against_retraining": {
            "native": {"float32": 0.5, "integers": 0.25},
            "ezkl": {"float32": 40.0, "integers": 20.0},
        },
        "machine": {"cores": 2, "cpu": "some", "flags": []},
    }


def test_the_table_marks_what_was_computed() -> None:
    lines = against_report.markdown({"recipes": {"iris": entry()}}).splitlines()
    cells = {line.split(" | ")[0].lstrip("| "): line for line in lines}
    assert cells["one step: prove"].endswith("| 11.0 s | 33.0 s * |")
    assert cells["1,024 steps: verify"].endswith("| 34.0 s | 68.0 s * |")
    assert cells["set-up"].endswith("| none | 6.00 s |")
    assert cells["verify / train again, float32 / integers"].endswith("| 0.5 / 0.25 | 40 / 20 |")
    assert len({line.count("|") for line in lines}) == 1


def test_the_figure_is_the_same_every_time() -> None:
    figures = pytest.importorskip("zktrain.benchmarking.figures")
    result = {"recipes": {"iris": entry(), "digits": entry()}}
    first, second = (
        figures.rendered(lambda: against_report.figure(result), "png") for _ in range(2)
    )
    assert first == second and first.startswith(b"\x89PNG")
