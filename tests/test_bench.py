"""Benchmarks: what is run, that nothing finished is lost, and a report that stands by itself."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import zktrain
from zktrain._bench import command_line, draw
from zktrain.benchmarking import runner, series, settings, worker
from zktrain.benchmarking.report import html
from zktrain.benchmarking.settings import Plan, Setting, Sweep, chosen, parse_sweep, suite
from zktrain.cli.main import app
from zktrain.errors import InputError
from zktrain.optimizers.sgd import quantise_rate

pytestmark = pytest.mark.full_work

TINY = Setting("synthetic", width=4, batch=4, steps=4, records=32, features=8, classes=3)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Two real runs of different width, as the process of a run measures them."""
    out = []
    for width in (4, 8):
        folder = tmp_path_factory.mktemp("measured")
        out.append(worker.measure(TINY.at("width", width), folder))
    return out


# what is run


def test_a_sweep_changes_one_axis() -> None:
    sweep = parse_sweep("batch=16, 32,64", TINY)
    assert [s.batch for s in sweep.settings] == [16, 32, 64]
    assert {s.at("batch", 4) for s in sweep.settings} == {TINY}


@pytest.mark.parametrize("text", ["width", "width=", "width=1,x", "colour=1", "width=0", "=3"])
def test_other_sweeps_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not understood"):
        parse_sweep(text, TINY)


def test_settings_have_different_names() -> None:
    variants = [TINY.at(axis, 2) for axis in settings.AXES]
    variants += [TINY, TINY.at("records", 7), TINY.at("features", 9), Setting(), Setting("fashion")]
    variants.append(Setting(zero_knowledge=False))
    assert len({setting.name for setting in variants}) == len(variants)
    assert all("/" not in Setting("/data/some.npz").name for _ in [0])


@pytest.mark.parametrize("batch", [1, 4, 32, 64, 100, 256, 1024])
def test_the_learning_rate_can_be_used(batch: int) -> None:
    rate = Setting(batch=batch).learning_rate
    multiplier = quantise_rate(rate, batch, 10)
    assert multiplier * batch / 1024 == rate


def test_options_choose_the_plan() -> None:
    nothing: dict[str, Any] = {"width": None, "dataset": None}
    assert chosen("quick", [], nothing) == suite("quick", Setting())
    assert chosen("quick", [], {"width": 32}) == Plan((Setting(width=32),))
    assert chosen("quick", [], {"dataset": "fashion"}).sweeps[0].base.dataset == "fashion"
    sweeps = chosen("quick", ["steps=2,4"], {"width": 32}).sweeps
    assert sweeps == (Sweep("steps", (2, 4), Setting(width=32)),)
    with pytest.raises(InputError, match="--width must be a positive number"):
        chosen("quick", [], {"width": 0})
    with pytest.raises(InputError, match="choose quick"):
        chosen("slow", [], {})


def test_a_plan_runs_each_setting_once() -> None:
    plan = Plan((TINY,), (Sweep("width", (4, 8), TINY), Sweep("steps", (4, 8), TINY)))
    assert len(plan.settings) == 3
    assert {s.dataset for s in suite("readme", Setting()).settings} == {"digits", "fashion"}


# a run


def test_a_run_measures_all_that_the_report_shows(measured: list[dict[str, Any]]) -> None:
    run = json.loads(json.dumps(measured[0]))
    assert run["parameters"]["weights"] == 8 * 4 + 4 + 4 * 3 + 3
    assert set(run["prove"]["stages"]) >= {"witness", "commit", "lookups", "relations", "opening"}
    stages = sum(run["prove"]["stages"].values())
    assert stages == pytest.approx(run["prove"]["seconds"], rel=0.1, abs=0.05)
    assert run["prove"]["peak_rss_bytes"] > 5e7 and run["soundness_bits"] >= 100
    assert 0 < run["verify"]["seconds"] < run["verify"]["process_seconds"]
    ratio = (run["train"]["seconds"] + run["prove"]["seconds"]) / run["train"]["float_seconds"]
    assert run["ratios"]["train and prove / float32"] == pytest.approx(ratio)
    expected = run["predicted"]["proof_bytes"] / run["prove"]["proof_bytes"] - 1
    assert run["deviation"]["proof_bytes"] == pytest.approx(expected, abs=1e-4)
    assert abs(expected) < 0.01


def test_without_a_gpu_nothing_is_said_about_one(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert worker.on_cuda(TINY, tmp_path) is None


def test_a_run_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "warm_up", lambda: None)
    wanted, out = tmp_path / "setting.json", tmp_path / "out.json"
    wanted.write_text(json.dumps(Setting("/nowhere/at/all.npz").to_json()))
    assert worker.main([str(wanted), str(out)]) == 1
    assert "all.npz" in json.loads(out.read_text())["error"]


# keeping results


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs that measure nothing; the third is interrupted, once."""
    ran: list[str] = []

    def run(setting: Setting, folder: Path, top: dict[str, Any], progress: Any) -> dict[str, Any]:
        ran.append(setting.name)
        if len(ran) == 3:
            raise KeyboardInterrupt
        result = {"name": setting.name, "setting": setting.to_json(), "commit": top["commit"]}
        result["machine"] = top["machine"]
        runner.write(runner.path_of(folder, setting), result)
        return result

    monkeypatch.setattr(runner, "run_setting", run)
    return ran


def test_an_interruption_loses_no_finished_run(tmp_path: Path, fake: list[str]) -> None:
    plan = Plan((), (Sweep("width", (2, 4, 8, 16), TINY),))
    with pytest.raises(KeyboardInterrupt):
        runner.run_plan(plan, tmp_path, "command")
    kept = json.loads((tmp_path / runner.RESULT).read_text())
    assert [run["name"] for run in kept["runs"]] == fake[:2]
    whole = runner.run_plan(plan, tmp_path, "command")
    assert fake == [fake[0], fake[1], fake[2], fake[2], plan.settings[3].name]
    assert [run["name"] for run in whole["runs"]] == [s.name for s in plan.settings]
    assert whole["sweeps"][0]["values"] == [2, 4, 8, 16]


def test_runs_of_other_code_are_measured_again(
    tmp_path: Path, fake: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan((TINY,))
    runner.run_plan(plan, tmp_path, "command")
    monkeypatch.setattr(runner, "commit", lambda: "another")
    runner.run_plan(plan, tmp_path, "command")
    assert fake == [TINY.name] * 2


def test_compact_json_is_the_same_json() -> None:
    value = {
        "losses": [[0, 2.5], [1, -1e-05]],
        "text": "[1,   2]\n, [3]",
        "names": ["a, b", "c"],
        "values": [1, 2, 3],
        "empty": [],
        "tree": {"parts": [{"name": "x, y", "seconds": 0.5, "parts": []}]},
    }
    text = runner.compact(value)
    assert json.loads(text) == {**value}
    assert '"values": [1, 2, 3]' in text


# figures and report


def test_exponents_are_those_of_power_laws() -> None:
    at = (1.0, 2.0, 4.0, 8.0)
    values = tuple(3.0 * x**1.5 for x in at)
    curve = series.Series("prove", "title", "axis", "s", 1.0, at, values)
    exponent, factor = series.fitted_exponent(curve)
    assert exponent == pytest.approx(1.5) and factor == pytest.approx(3.0)


def _run_of(width: int, steps: int, per_step: float, fixed: float) -> dict[str, Any]:
    setting = Setting("fashion", width=width, steps=steps)
    return {
        "name": setting.name,
        "setting": setting.to_json(),
        "train": {"seconds": 0.01 * steps, "float_seconds": 0.005 * steps},
        "prove": {
            "stages": {"lookups": per_step * steps, "opening": fixed, "certify dataset": 9.0}
        },
    }


def test_the_time_of_one_more_step_is_free_of_what_is_paid_once() -> None:
    runs = [_run_of(w, s, 1e-3 * w, 50.0 / w) for w in (64, 128, 256) for s in (8, 16)]
    (curves,) = series.figures({"sweeps": [], "runs": runs}).values()
    assert curves[0].at == (64.0, 128.0, 256.0)
    assert series.fitted_exponent(curves[0])[0] == pytest.approx(1.0)


class _Page(HTMLParser):
    """Everything that a page would fetch, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data"):
                self.fetched.append(str(value))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def result(measured: list[dict[str, Any]]) -> dict[str, Any]:
    runs = [{**run, "machine": None} for run in measured]
    top = runner.header("zktrain bench --sweep width=4,8")
    for run in runs:
        run["machine"] = top["machine"]
    failed = {"name": "too <wide>", "setting": TINY.to_json(), "error": "a value & its range"}
    sweeps = [{"axis": "width", "values": [4, 8], "runs": [run["name"] for run in runs]}]
    return {**top, "sweeps": sweeps, "runs": [*runs, failed]}


def test_the_report_needs_nothing_else(tmp_path: Path, result: dict[str, Any]) -> None:
    """No script, no style sheet, no address: images are part of the file."""
    paths = draw(result, tmp_path)
    assert {path.name for path in paths} == {"run.png", "stages.png", "sweep-1-width.png"}
    text = (tmp_path / "report.html").read_text()
    page = _Page()
    page.feed(text)
    assert len(page.fetched) == 3
    assert all(source.startswith("data:image/png;base64,") for source in page.fetched)
    assert not page.tags & {"script", "link", "iframe", "object"} and "http" not in text
    for run in result["runs"]:
        assert run["name"] in page.text
    for wanted in ("too <wide>", "a value & its range", "zktrain bench --sweep width=4,8",
                   "Predicted and measured", "nothing is claimed", "made-up"):  # fmt: skip
        assert wanted in page.text


def test_the_same_result_gives_the_same_files(tmp_path: Path, result: dict[str, Any]) -> None:
    for name in ("one", "two"):
        draw(json.loads(runner.compact(result)), tmp_path / name)
    for path in (tmp_path / "one").rglob("*.*"):
        assert (
            path.read_bytes()
            == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
        )


def test_a_report_without_a_finished_run() -> None:
    failed = {"name": "x", "setting": TINY.to_json(), "error": "no"}
    top = runner.header("zktrain bench")
    assert "failed: no" in html({**top, "sweeps": [], "runs": [failed]}, {})


def test_commands_are_shown_without_folders() -> None:
    assert command_line(["bench", "--out", "/some/where/x"]) == "zktrain bench --out x"


# the command


def test_the_command_refuses_with_a_sentence(tmp_path: Path) -> None:
    arguments = ["bench", "--out", str(tmp_path), "--sweep", "colour=3", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    error = json.loads(done.stdout.splitlines()[-1])["error"]
    assert error["kind"] == "InputError" and "colour=3" in error["message"]
    assert callable(zktrain.bench)
