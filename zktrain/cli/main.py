"""The command line: thin commands over the verbs of the package."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from . import screens, stopped, wording
from .bars import bars, lines, say_first_use
from .evaluation import prove_eval, verify_eval
from .judge import judge
from .outcome import FAILED, guarded, print_json, usage_error, verdict_code

app = typer.Typer(
    name="zktrain",
    help="Proves that a weight file is the result of training a stated network on a committed "
    "dataset.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
_Recipe = Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="The recipe.")]
_DATA = "An .npz file, a folder of IDX files, or the name digits."


@app.command()
def commit(
    data: Annotated[str, typer.Argument(metavar="DATA", help=_DATA)],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.zkd", help="Write sizes, root and certificate.")
    ] = None,
    check: Annotated[
        str | None, typer.Option(metavar="ROOT", help="Fail unless the data have this root.")
    ] = None,
    split: Annotated[str, typer.Option(help="train or test, where the data have both.")] = "train",
    public: Annotated[
        bool, typer.Option("--public", help="Hide nothing: everybody can recompute the root.")
    ] = False,
    openings: Annotated[
        int | None,
        typer.Option(metavar="N", help="How often it can be proved on, if it hides; default 64."),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="TRAIN.zkd", help="Scale inputs as those of this dataset are."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Commit to a dataset, or check that data have a published root."""
    from .._commit import commit as run_commit
    from ..memory import keep_freed_memory

    judges = None if check is None else verdict_code
    with guarded(as_json, interrupted=partial(stopped.commit, out), exit_code=judges):
        with bars() as progress:
            keep_freed_memory()
            result = run_commit(
                data,
                out=out,
                check=check,
                split=split,
                public=public,
                openings=openings,
                like=like,
                progress=progress,
            )
        if not as_json:
            screens.committed(result, checked=check is not None)
            return
        print_json(
            {
                "root": result.root,
                "records": result.records,
                "features": result.features,
                "classes": result.classes,
                "seconds": result.seconds,
                "path": _text(result.path),
                "openings": result.openings,
                "secret": _text(result.secret),
                "kept": result.kept,
                "low": result.low,
                "high": result.high,
                "warnings": list(result.warnings),
            }
        )


@app.command()
def compile(
    recipe: _Recipe,
    out: Annotated[
        Path | None,
        typer.Option(metavar="X.circuit.json", help="Write the circuit's canonical text."),
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Predict time, memory and size of the proof.")
    ] = False,
    dataset: Annotated[
        Path | None,
        typer.Option(metavar="FILE.zkd", help="With --estimate: the committed dataset."),
    ] = None,
    records: Annotated[
        int | None,
        typer.Option(metavar="N", help="With --estimate: how many records it will have."),
    ] = None,
    as_json: _Json = False,
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
        if not as_json:
            screens.compiled(result)
            if found is not None:
                from .profile_view import show_estimate

                show_estimate(found)
            return
        circuit = result.circuit
        print_json(
            {
                "circuit_id": result.circuit_id,
                "parameters": circuit.parameters,
                "cells_per_step": circuit.cells_per_step,
                "lookups_per_step": circuit.lookups_per_step,
                "effective_learning_rate": circuit.effective_learning_rate,
                **circuit.optimizer.fields(),
                "no_wrap_bound_bits": circuit.no_wrap_bound_bits,
                "path": _text(result.path),
                "changes": list(result.changes),
                "warnings": list(result.warnings),
                **({} if found is None else {"estimate": found.to_json()}),
            }
        )


@app.command()
def train(
    recipe: _Recipe,
    data: Annotated[str, typer.Option(metavar="DATA", help=_DATA)],
    out: Annotated[Path, typer.Option(metavar="RUN/", help="The run directory to write.")],
    device: Annotated[str, typer.Option(help="cpu, cuda: the result is the same.")] = "cpu",
    test: Annotated[
        str | None, typer.Option(metavar="DATA", help="Held-out data; default: DATA's own.")
    ] = None,
    compare_float: Annotated[
        bool, typer.Option("--compare-float", help="Also train in float32, for comparison.")
    ] = False,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="ROOT|FILE.zkd", help="Fail unless the data have this root."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Train in exact integers, into a run directory that can be proved."""
    from .._train import train as run_train
    from ..memory import keep_freed_memory

    with guarded(as_json, interrupted=partial(stopped.train, out)):
        with bars() as progress:
            keep_freed_memory()
            result = run_train(
                recipe,
                data=data,
                out=out,
                device=device,
                test=test,
                compare_float=compare_float,
                dataset=dataset,
                progress=progress,
            )
        if not as_json:
            screens.trained(result)
            return
        print_json(
            {
                "seconds": result.seconds,
                "steps": result.steps,
                "test_accuracy": result.test_accuracy,
                "float_test_accuracy": result.float_test_accuracy,
                "float_seconds": result.float_seconds,
                "weights": str(result.weights),
                "weights_digest": result.weights_digest,
                "dataset_root": result.dataset_root,
                "circuit_id": result.circuit_id,
                "statement_digest": result.statement_digest,
                "kept": result.kept,
                "changes": list(result.changes),
                "warnings": list(result.warnings),
            }
        )


@app.command()
def prove(
    run: Annotated[Path, typer.Argument(metavar="RUN/", help="A finished run directory.")],
    out: Annotated[
        Path | None, typer.Option(metavar="proof.zkt", help="Default: RUN/proof.zkt.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda: the proof is as good.")] = "cpu",
    no_zk: Annotated[
        bool, typer.Option("--no-zk", help="Hide nothing: a smaller proof, which leaks.")
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(metavar="8GB", help="What it may use; default: what the machine has left."),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time went, part by part.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Prove a finished training run."""
    kept = partial(stopped.prove, run)
    with guarded(as_json, interrupted=kept, less_memory="fewer steps need less"):
        from ..extras import require

        require("prove", "proving", "numba", "torch")
        from .._prove import prove as run_prove
        from ..machine import parse_size
        from ..memory import keep_freed_memory
        from ..profile import Recorder
        from ..training.run import Run

        recorder = Recorder(memory=True)
        allowed = None if memory is None else parse_size(memory)
        say_first_use()
        with bars() as progress, recorder if profile else nullcontext():
            hiding = False if no_zk else None
            keep_freed_memory()
            result = run_prove(
                run,
                out=out,
                device=device,
                zero_knowledge=hiding,
                memory=allowed,
                progress=progress,
            )
        tree = None
        if profile:
            from ..cost.counts import prover_work
            from ..protocol.bundle import statement_of
            from .profile_view import rows, show_profile

            certified = recorder.root.parts["certify dataset"].parts == {}
            work = prover_work(statement_of(result.path), certified=certified)
            tree = rows(recorder.root, work)
        if not as_json:
            opened = Run.open(run)
            if tree is not None:
                show_profile(tree)
            screens.proved(result, opened.public_dataset, opened.weights_path)
            return
        print_json(
            {
                "seconds": result.seconds,
                "proof_bytes": result.proof_bytes,
                "peak_rss_bytes": result.peak_rss_bytes,
                "zero_knowledge": result.zero_knowledge,
                "stages": result.stages,
                "path": str(result.path),
                **({} if tree is None else {"profile": tree.to_json()}),
            }
        )


@app.command()
def bench(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Results, figures, report; kept between calls.")
    ] = Path("bench"),
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS=N,N,...",
            help="Along width, depth, batch or steps; may be given again.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="digits, fashion, synthetic, or as for commit."),
    ] = None,
    width: Annotated[int | None, typer.Option(help="Units of a hidden layer.")] = None,
    depth: Annotated[int | None, typer.Option(help="Hidden layers.")] = None,
    batch: Annotated[int | None, typer.Option(help="Samples in a batch.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of training.")] = None,
    records: Annotated[int | None, typer.Option(help="Use the first records only.")] = None,
    features: Annotated[int | None, typer.Option(help="Inputs of synthetic records.")] = None,
    classes: Annotated[int | None, typer.Option(help="Classes of synthetic records.")] = None,
    no_zk: Annotated[bool, typer.Option("--no-zk", help="Prove in clear.")] = False,
    suite: Annotated[
        str, typer.Option(help="Without other choices: quick, smoke, readme.")
    ] = "quick",
    again: Annotated[bool, typer.Option("--again", help="Measure finished runs anew.")] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Only measure this machine, for estimates.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Measure whole runs against float32 training, with figures and one HTML report."""
    with guarded(as_json, interrupted=f"finished runs are kept in {out}; the same command goes on"):
        from .._bench import bench as verb
        from .._bench import calibrate as run_calibrate
        from .._bench import command_line
        from ..benchmarking.settings import chosen

        with bars() as drawn:
            progress = drawn if sys.stderr.isatty() else lines
            if calibrate:
                calibration, path = run_calibrate(progress=progress)
                found: dict[str, Any] = {"path": str(path), **calibration.to_json()}
            else:
                given = {
                    "dataset": dataset,
                    "width": width,
                    "depth": depth,
                    "batch": batch,
                    "steps": steps,
                    "records": records,
                    "features": features,
                    "classes": classes,
                    "zero_knowledge": False if no_zk else None,
                }
                plan = chosen(suite, sweep or [], given)
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
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS.safetensors", help="The file.")],
    proof: Annotated[Path, typer.Option(metavar="proof.zkt", help="The proof.")],
    dataset: Annotated[
        str, typer.Option(metavar="ROOT|FILE.zkd", help="The dataset that must have been used.")
    ],
    circuit: Annotated[
        Path | None,
        typer.Option(metavar="X.circuit.json", help="The circuit that must have been trained."),
    ] = None,
    initial: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="First weights, where they are not from a seed."),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE.zkd", help="Beside a root: the dataset's public file."),
    ] = None,
    min_security_bits: Annotated[
        int, typer.Option(metavar="BITS", help="Refuse proofs made for fewer.")
    ] = 100,
    as_json: _Json = False,
) -> None:
    """Check a weight file against a proof. Exit: 0 accepted, 1 rejected, 2 not judged."""
    judge(
        weights,
        proof=proof,
        dataset=dataset,
        circuit=circuit,
        initial=initial,
        certificate=certificate,
        min_security_bits=min_security_bits,
        as_json=as_json,
    )


app.command("prove-eval")(prove_eval)
app.command("verify-eval")(verify_eval)


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
    proof: Annotated[Path, typer.Argument(metavar="proof.zkt", help="The proof.")],
    as_json: _Json = False,
) -> None:
    """Show what a proof claims, its sizes and soundness. Verifies nothing."""
    with guarded(as_json, interrupted="nothing was changed"):
        from .._inspect import inspect as run_inspect
        from ..protocol.tasks import Evaluation
        from . import evaluation_view

        found = run_inspect(proof)
        evaluated = isinstance(found.statement.task, Evaluation)
        if as_json:
            view = evaluation_view if evaluated else wording
            print_json(view.inspection_fields(found))
        elif evaluated:
            evaluation_view.inspected(found)
        else:
            screens.inspected(found)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


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
