"""Spans: what is recorded, and that the prover's are those that its cost is counted by."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from tiny_run import TinyBundle

import zktrain
from zktrain.cli.profile_view import rows
from zktrain.cost.counts import prover_work
from zktrain.cost.parts import Work
from zktrain.profile import Node, Recorder, mark, resident_bytes, span
from zktrain.protocol.bundle import statement_of


def tree(node: Node) -> dict[str, object]:
    return {name: tree(part) for name, part in node.parts.items()}


def test_spans_nest_and_those_of_one_name_are_one() -> None:
    with Recorder() as recorder:
        for _ in range(3):
            with span("outer"), span("inner"):
                pass
        with span("other"):
            pass
    assert tree(recorder.root) == {"outer": {"inner": {}}, "other": {}}
    outer = recorder.root.parts["outer"]
    assert outer.calls == 3 and outer.parts["inner"].calls == 3
    assert 0 <= outer.parts["inner"].seconds <= outer.seconds <= recorder.root.seconds
    assert outer.own_seconds == pytest.approx(outer.seconds - outer.parts["inner"].seconds)


def test_a_mark_lasts_until_the_next_or_the_end_of_the_span_around_it() -> None:
    with Recorder() as recorder:
        with span("stage"):
            mark("first")
            with span("inside"):
                mark("deep")
            mark("second")
            mark(None)
            with span("after"):
                pass
            mark("last")
        with span("next"):
            pass
    assert tree(recorder.root) == {
        "stage": {"first": {"inside": {"deep": {}}}, "second": {}, "after": {}, "last": {}},
        "next": {},
    }


def test_an_exception_closes_what_is_open() -> None:
    with Recorder() as recorder:
        with pytest.raises(KeyError), span("broken"):
            mark("part")
            raise KeyError("x")
        with span("later"):
            pass
    assert tree(recorder.root) == {"broken": {"part": {}}, "later": {}}


def test_nothing_is_kept_without_a_recorder_nor_of_other_threads() -> None:
    with span("nobody"):
        mark("sees")

    def elsewhere() -> None:
        with span("other thread"):
            mark("unseen")

    with Recorder() as recorder:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    with span("too late"):
        pass
    assert tree(recorder.root) == {}


def test_json_holds_the_whole_tree() -> None:
    with Recorder(memory=True) as recorder, span("a"), span("b"):
        pass
    (a,) = recorder.root.to_json()["parts"]
    (b,) = a["parts"]
    assert (a["name"], a["calls"], b["name"], b["calls"]) == ("a", 1, "b", 1)
    assert a["seconds"] >= b["seconds"] and "parts" not in b
    if resident_bytes():
        assert a["peak_bytes"] > 0


@pytest.fixture(scope="module")
def profiled(
    tiny_bundle: TinyBundle, tmp_path_factory: pytest.TempPathFactory
) -> tuple[zktrain.Proved, Node, list[Work]]:
    """A hiding proof whose dataset has no certificate yet."""
    run = tmp_path_factory.mktemp("profiled") / "run"
    shutil.copytree(tiny_bundle.run, run, ignore=shutil.ignore_patterns("*.zkt"))
    (run / "dataset.zkd").unlink()
    with Recorder() as recorder:
        proved = zktrain.prove(run)
    return proved, recorder.root, prover_work(statement_of(proved.path))


def test_stages_are_spans(profiled: tuple[zktrain.Proved, Node, list[Work]]) -> None:
    proved, root, _ = profiled
    assert set(root.parts) == set(proved.stages)
    for stage, seconds in proved.stages.items():
        assert root.parts[stage].seconds == pytest.approx(seconds, rel=0.05, abs=0.005)


def test_all_that_is_counted_has_its_span(
    profiled: tuple[zktrain.Proved, Node, list[Work]],
) -> None:
    """A place that the prover no longer has, or names otherwise, would be predicted for nothing."""
    _, root, work = profiled
    assert {part.place for part in work} <= {place for place, _ in root.walk()}


def test_all_long_spans_are_counted(profiled: tuple[zktrain.Proved, Node, list[Work]]) -> None:
    _, root, work = profiled
    counted = {part.place for part in work}
    left = {place for place, node in root.walk() if place not in counted and not node.parts}
    assert left <= {
        ("load",),
        ("commit dataset", "columns"),
        ("certify dataset", "columns"),
    }


def test_rows_add_up(profiled: tuple[zktrain.Proved, Node, list[Work]]) -> None:
    _, root, work = profiled
    row = rows(root, work)
    assert row.multiplications == pytest.approx(sum(part.multiplications for part in work))
    assert row.bytes == pytest.approx(sum(part.bytes for part in work))
    lookups = next(part for part in row.parts if part.name == "lookups")
    assert lookups.distance == pytest.approx(lookups.seconds / (lookups.budget or 0))
    assert [part["name"] for part in row.to_json()["parts"]][:2] == ["load", "read"]


def test_the_command_prints_a_tree(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    import json

    from typer.testing import CliRunner

    from zktrain.cli.main import app

    run = tmp_path / "run"
    shutil.copytree(tiny_bundle.run, run, ignore=shutil.ignore_patterns("*.zkt"))
    done = CliRunner().invoke(app, ["prove", str(run), "--profile"])
    assert done.exit_code == 0, done.output
    assert "inner layers" in done.output and "budgets" in done.output
    done = CliRunner().invoke(app, ["prove", str(run), "--profile", "--json"])
    profile = json.loads(done.output)["profile"]
    assert [part["name"] for part in profile["parts"]][:2] == ["load", "read"]
