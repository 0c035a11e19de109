"""The command line: thin commands over the verbs of the package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from . import evaluation_view, screens, stopped, wording
from .bars import bars, lines, say_first_use, working
from .judge import MIN_BITS, judge
from .options import (
    DATA,
    Bits,
    Bundle,
    Clear,
    Data,
    Initial,
    Json,
    Memory,
    Prover,
    Recipe,
    RunFolder,
    Split,
    Trained,
    Used,
    Weights,
    argument,
    flag,
    option,
)
from .outcome import FAILED, answer, guarded, print_json, usage_error, verdict_code
from .stated import result_fields

_T = TypeVar("_T")

app = typer.Typer(
    name="zktrain",
    help="Proves that a weight file is the result of training a stated network on a committed "
    "dataset.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _asked(given: dict[str, Any]) -> dict[str, Any]:
    """The options of a command that its verb has under the same name."""
    return {name: value for name, value in given.items() if name != "as_json"}


def _worked(verb: Callable[..., _T], asked: dict[str, Any]) -> _T:
    from ..memory import keep_freed_memory

    keep_freed_memory()
    return working(verb, asked)


@app.command()
def commit(
    data: Annotated[str, argument("DATA", DATA)],
    out: Annotated[Path | None, option("FILE.zkd", "Write sizes, root and certificate.")] = None,
    check: Annotated[str | None, option("ROOT", "Fail unless the data have this root.")] = None,
    split: Split = "train",
    public: Annotated[
        bool, flag("--public", "Hide nothing: everybody can recompute the root.")
    ] = False,
    openings: Annotated[
        int | None, option("N", "How often it can be proved on, if it hides; default 64.")
    ] = None,
    like: Annotated[
        Path | None, option("TRAIN.zkd", "Scale inputs as those of this dataset are.")
    ] = None,
    memory: Annotated[
        str | None, option("512MB", "What it may use; default: what it takes.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Commit to a dataset, or check that data have a published root."""
    asked, checks = _asked(locals()), check is not None
    judges = verdict_code if checks else None
    with guarded(as_json, interrupted=partial(stopped.commit, out), exit_code=judges):
        from .._commit import commit as verb
        from ..machine import parse_size

        asked["memory"] = None if memory is None else parse_size(memory)
        if not as_json:
            asked["planned"] = screens.planned
        show = partial(screens.committed, checked=checks)
        answer(as_json, _worked(verb, asked), partial(result_fields, left_out=("source",)), show)


@app.command()
def compile(
    recipe: Recipe,
    out: Annotated[
        Path | None, option("X.circuit.json", "Write the circuit's canonical text.")
    ] = None,
    estimate: Annotated[
        bool, flag("--estimate", "Predict time, memory and size of the proof.")
    ] = False,
    dataset: Annotated[
        Path | None, option("FILE.zkd", "With --estimate: the committed dataset.")
    ] = None,
    records: Annotated[
        int | None, option("N", "With --estimate: how many records it will have.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compile a recipe and its ONNX graph to a circuit."""
    from .._compile import compile as run_compile

    with guarded(as_json, interrupted="nothing was written"):
        if not estimate and (dataset is not None or records is not None):
            from ..errors import InputError

            raise InputError("--dataset and --records go with --estimate: add it, or leave them")
        found = None
        if estimate:
            from .._compile import estimate as run_estimate

            found = run_estimate(recipe, dataset=dataset, records=records)
        result = run_compile(recipe, out=out)
        if as_json:
            priced = {} if found is None else {"estimate": found.to_json()}
            print_json({**screens.compiled_fields(result), **priced})
            return
        screens.compiled(result)
        if found is not None:
            from .profile_view import show_estimate

            show_estimate(found)


@app.command()
def train(
    recipe: Recipe,
    data: Data,
    out: Annotated[Path, option("RUN/", "The run directory to write.")],
    device: Annotated[str, option("", "cpu, cuda: the result is the same.")] = "cpu",
    test: Annotated[str | None, option("DATA", "Held-out data; default: DATA's own.")] = None,
    compare_float: Annotated[
        bool, flag("--compare-float", "Also train in float32, for comparison.")
    ] = False,
    dataset: Annotated[
        str | None, option("ROOT|FILE.zkd", "Fail unless the data have this root.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train in exact integers, into a run directory that can be proved."""
    asked = _asked(locals())
    with guarded(as_json, interrupted=partial(stopped.train, out)):
        from .._train import train as verb

        left_out = ("path", "losses", "float_losses", "test_source")
        fields = partial(result_fields, left_out=left_out)
        answer(as_json, _worked(verb, asked), fields, screens.trained)


@app.command()
def prove(
    run: RunFolder,
    out: Annotated[Path | None, option("proof.zkt", "Default: RUN/proof.zkt.")] = None,
    device: Prover = "cpu",
    no_zk: Clear = False,
    memory: Memory = None,
    workers: Annotated[
        int | None, option("N", "Compute in N processes of this machine, too.")
    ] = None,
    cluster: Annotated[
        str | None, option("tls://HOST:PORT", "Or on a Dask cluster, which learns what is hidden.")
    ] = None,
    profile: Annotated[bool, flag("--profile", "Show where the time went, part by part.")] = False,
    as_json: Json = False,
) -> None:
    """Prove a finished training run."""
    kept = partial(stopped.prove, run, out)
    with guarded(as_json, interrupted=kept, less_memory="fewer steps need less"):
        from ..extras import require

        require("prove", "proving", "numba", "torch")
        from .._prove import prove as verb
        from ..errors import InputError
        from ..machine import parse_size
        from ..profile import Recorder
        from ..training.run import Run

        recorder = Recorder(memory=True)
        hiding, allowed = False if no_zk else None, None if memory is None else parse_size(memory)
        asked: dict[str, Any] = {"run": run, "out": out, "device": device, "memory": allowed}
        if workers is not None and cluster is not None:
            raise InputError("--workers and --cluster are two answers to one question: give one")
        asked["workers"] = cluster if workers is None else workers
        if not as_json:
            asked["planned"] = screens.planned
        say_first_use()
        with recorder if profile else nullcontext():
            result = _worked(verb, {**asked, "zero_knowledge": hiding})
        tree = None
        if profile:
            from ..cost.counts import prover_work
            from ..protocol.bundle import statement_of
            from .profile_view import rows, show_profile

            stage = recorder.root.parts.get("certify dataset")  # none where a proof was kept
            certified = stage is None or not stage.parts
            work = prover_work(statement_of(result.path), certified=certified)
            tree = rows(recorder.root, work)
        if as_json:
            profiled = {} if tree is None else {"profile": tree.to_json()}
            print_json({**result_fields(result), **profiled})
            return
        opened = Run.open(run)
        if tree is not None:
            show_profile(tree)
        screens.proved(result, opened.public_dataset, opened.weights_path)


@app.command()
def bench(
    out: Annotated[Path, option("FOLDER", "Results, figures, report; kept between calls.")] = Path(
        "bench"
    ),
    sweep: Annotated[
        list[str] | None,
        option("AXIS=N,N,...", "Along width, depth, batch or steps; may be given again."),
    ] = None,
    dataset: Annotated[
        str | None, option("DATA", "digits, fashion, synthetic, or as for commit.")
    ] = None,
    width: Annotated[int | None, option("", "Units of a hidden layer.")] = None,
    depth: Annotated[int | None, option("", "Hidden layers.")] = None,
    batch: Annotated[int | None, option("", "Samples in a batch.")] = None,
    steps: Annotated[int | None, option("", "Steps of training.")] = None,
    records: Annotated[int | None, option("", "Use the first records only.")] = None,
    features: Annotated[int | None, option("", "Inputs of synthetic records.")] = None,
    classes: Annotated[int | None, option("", "Classes of synthetic records.")] = None,
    no_zk: Annotated[bool, flag("--no-zk", "Prove in clear.")] = False,
    suite: Annotated[str, option("", "Without other choices: quick, smoke, readme.")] = "quick",
    again: Annotated[bool, flag("--again", "Measure finished runs anew.")] = False,
    calibrate: Annotated[
        bool, flag("--calibrate", "Only measure this machine, for estimates.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure whole runs against float32 training, with figures and one HTML report."""
    given = locals()
    with guarded(as_json, interrupted=f"finished runs are kept in {out}; the same command goes on"):
        from .._bench import bench as verb
        from .._bench import calibrate as run_calibrate
        from .._bench import command_line
        from ..benchmarking.settings import Setting, chosen

        with bars() as drawn:
            progress = drawn if sys.stderr.isatty() else lines
            if calibrate:
                calibration, path = run_calibrate(progress=progress)
                found: dict[str, Any] = {"path": str(path), **calibration.to_json()}
            else:
                choices = {name: given[name] for name in Setting.__slots__ if name in given}
                clear = {"zero_knowledge": False} if no_zk else {}
                plan = chosen(suite, sweep or [], {**choices, **clear})
                command = command_line(sys.argv[1:])
                result = verb(plan, out=out, command=command, again=again, progress=progress)
                found = result.result
        if as_json:
            print_json(found)
        elif calibrate:
            screens.calibrated(calibration, path)
        else:
            screens.benchmarked(result)
        if not calibrate and result.failed:
            raise typer.Exit(FAILED)


@app.command()
def verify(
    weights: Weights,
    proof: Bundle,
    dataset: Used,
    circuit: Trained = None,
    initial: Initial = None,
    certificate: Annotated[
        Path | None, option("FILE.zkd", "Beside a root: the dataset's public file.")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        option("FILE", "Published weights of an earlier step; may be given again."),
    ] = None,
    min_security_bits: Bits = MIN_BITS,
    as_json: Json = False,
) -> None:
    """Check a weight file against a proof. Exit: 0 accepted, 1 rejected, 2 not judged."""
    asked = locals()
    checkpoints = asked.pop("checkpoint") or []
    judge("verify", checkpoints=checkpoints, **asked)


@app.command("prove-eval")
def prove_eval(
    weights: Weights,
    circuit: Annotated[Path, option("X.circuit.json", "The network, as compiled.")],
    data: Data,
    split: Split = "test",
    dataset: Annotated[
        str | None, option("FILE.zkd|ROOT", "An existing commitment to these records.")
    ] = None,
    dataset_out: Annotated[
        Path | None, option("FILE.zkd", "Write a new commitment instead.")
    ] = None,
    like: Annotated[
        Path | None,
        option("TRAIN.zkd", "Scale inputs as those of the training data; default: as WEIGHTS say."),
    ] = None,
    out: Annotated[Path, option("eval.zkt", "The proof to write.")] = Path("eval.zkt"),
    device: Prover = "cpu",
    no_zk: Clear = False,
    security_bits: Annotated[int, option("BITS", "From 80 to 120.")] = 100,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Prove accuracy and confusion matrix of a weight file on a committed dataset."""
    asked = _asked(locals())
    asked["zero_knowledge"] = not asked.pop("no_zk")
    kept = partial(stopped.prove_eval, out, dataset_out)
    with guarded(as_json, interrupted=kept, less_memory="fewer records need less"):
        from ..extras import require

        require("prove", "proving", "numba", "torch")
        from .._prove_eval import prove_eval as verb
        from ..machine import parse_size

        asked["memory"] = None if memory is None else parse_size(memory)
        if not as_json:
            asked["planned"] = screens.planned
        say_first_use()
        show = partial(evaluation_view.proved, weights=str(weights))
        answer(as_json, _worked(verb, asked), partial(result_fields, left_out=("source",)), show)


@app.command("verify-eval")
def verify_eval(
    weights: Weights,
    proof: Annotated[Path, option("eval.zkt", "The proof.")],
    dataset: Annotated[str, option("ROOT|FILE.zkd", "The dataset it must be about.")],
    circuit: Annotated[
        Path | None, option("X.circuit.json", "The network it must be about.")
    ] = None,
    like: Annotated[
        Path | None, option("TRAIN.zkd", "Training data, whose scaling it must have.")
    ] = None,
    certificate: Annotated[
        Path | None, option("FILE.zkd", "Its certificate, where --dataset is a root.")
    ] = None,
    min_security_bits: Bits = MIN_BITS,
    as_json: Json = False,
) -> None:
    """Check the accuracy of a weight file against a proof. Exit codes are those of verify."""
    judge("verify-eval", **locals())


@app.command(
    "ezkl",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def ezkl(context: typer.Context) -> None:
    """Another backend, for small networks: prove, verify, inspect, bench, srs, evm."""
    from .ezkl.commands import ezkl as group

    code = group(args=context.args, prog_name="zktrain ezkl", standalone_mode=False)
    raise typer.Exit(code or 0)


@app.command()
def inspect(
    proof: Annotated[Path, argument("proof.zkt", "The proof.")], as_json: Json = False
) -> None:
    """Show what a proof claims, its sizes and soundness. Verifies nothing."""
    with guarded(as_json, interrupted="nothing was changed"):
        from .._inspect import inspect as verb
        from ..protocol.tasks import Evaluation

        found = verb(proof)
        if isinstance(found.statement.task, Evaluation):
            answer(as_json, found, evaluation_view.inspection_fields, evaluation_view.inspected)
        else:
            answer(as_json, found, wording.inspection_fields, screens.inspected)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(args=given, prog_name="zktrain", standalone_mode=False)
    except Exception as error:
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        code = usage_error(given, message())
    sys.exit(code or 0)


if __name__ == "__main__":
    run()
