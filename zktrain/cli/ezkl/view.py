"""Proofs by ezkl in words, for people, and in fields, for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...losses import LOSSES
from .. import screens, stated, wording

if TYPE_CHECKING:
    from ...ezkl._prove import Proved
    from ...ezkl._verify import Verdict
    from ...ezkl.bundle import Inspection
    from ...ezkl.statement import EzklStatement


def statement_rows(statement: EzklStatement) -> list[tuple[str, str]]:
    """Label and value of everything that a bundle states; values may come from a proof."""
    circuit, dataset = statement.circuit, statement.dataset
    start, scale = circuit.initialisation, statement.parameters.scale
    origin = f'the seed "{start.value}"' if start.kind == "seed" else "the file with this digest"
    return [
        ("network", wording.network(circuit)),
        *stated.layer_rows(circuit),
        ("dataset", wording.dataset_text(dataset)),
        ("inputs", dataset.scaling.text),
        ("root", dataset.root.hex()),
        (
            "training",
            f"{wording.several(circuit.steps, 'step')} of SGD, batches of "
            f"{circuit.batch_size:,}, {LOSSES[circuit.loss].words}",
        ),
        ("learning rate", wording.learning_rate(circuit)),
        ("order", wording.order(circuit)),
        ("arithmetic", f"ezkl's fixed point, {scale} fractional bits (units of 2^-{scale})"),
        ("start", f"from {origin}, rounded to these bits; with the digest"),
        ("", statement.initial),
        ("end", "the weight file with this digest"),
        ("", statement.final),
        ("circuit", circuit.id),
        ("verifying key", statement.verifying_key),
        ("set-up", statement.srs),
        ("statement", statement.digest),
    ]


def statement_fields(statement: EzklStatement) -> dict[str, Any]:
    """The statement as a JSON object."""
    circuit, dataset = statement.circuit, statement.dataset
    return {
        "digest": statement.digest,
        "circuit_id": circuit.id,
        "layers": stated.plain(circuit.layers),
        "parameters": circuit.parameters,
        "loss": circuit.loss,
        "optimizer": "sgd",
        "learning_rate": circuit.effective_learning_rate,
        "batch_size": circuit.batch_size,
        "steps": circuit.steps,
        "order_seed": circuit.order_seed,
        "last_batch": "drop" if circuit.drop_last else "wrap",
        "initialisation": asdict(circuit.initialisation),
        "dataset": wording.dataset_fields(dataset),
        "initial_weights_digest": statement.initial,
        "weights_digest": statement.final,
        "fractional_bits": statement.parameters.scale,
        "lookup_log": statement.parameters.lookup_log,
        "verifying_key": statement.verifying_key,
        "set_up": statement.srs,
        "stated": stated.plain(statement),
    }


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """An accepted proof as a JSON object."""
    return {
        "accepted": True,
        "error": None,
        "backend": "ezkl",
        "statement": statement_fields(verdict.statement),
        "security_bits": verdict.security_bits,
        "zero_knowledge": verdict.zero_knowledge,
        "seconds": verdict.seconds,
        "stages": verdict.stages,
        "proof_bytes": verdict.proof_bytes,
        "segments": verdict.steps,
        "warnings": list(verdict.warnings),
    }


def proved_fields(result: Proved) -> dict[str, Any]:
    """What ``ezkl prove`` made, as a JSON object."""
    return {
        "backend": "ezkl",
        "seconds": result.seconds,
        "steps": result.steps,
        "proof_bytes": result.proof_bytes,
        "peak_rss_bytes": result.peak_rss_bytes,
        "proving_key_bytes": result.proving_key_bytes,
        "verifying_key_bytes": result.verifying_key_bytes,
        "verifying_key": result.verifying_key,
        "stages": result.stages,
        "peaks": result.peaks,
        "fractional_bits": result.parameters.scale,
        "logrows": result.logrows,
        "largest_difference": result.largest_difference,
        "insecure_srs": result.insecure_srs,
        "weights": str(result.weights),
        "path": str(result.path),
    }


def inspection_fields(found: Inspection) -> dict[str, Any]:
    """An unverified bundle as a JSON object."""
    return {
        "verified": False,
        "backend": "ezkl",
        "statement": statement_fields(found.statement),
        "proof_bytes": found.proof_bytes,
        "step_proof_bytes": list(found.steps),
    }


def proved(result: Proved, dataset_root: str) -> None:
    out = screens.console()
    scale = result.parameters.scale
    rows = [
        ("proof", str(result.path)),
        ("size", f"{wording.size(result.proof_bytes)}, {wording.several(result.steps, 'step')}"),
        ("weights", str(result.weights)),
        (
            "arithmetic",
            f"{scale} fractional bits; weights differ by up to {result.largest_difference:.2g} "
            "from those of the run",
        ),
        (
            "keys",
            f"2^{result.logrows} rows, proving key {wording.size(result.proving_key_bytes)}, "
            f"verifying key {wording.size(result.verifying_key_bytes)}",
        ),
        ("time", wording.span(result.seconds)),
        ("stages", wording.stage_line(result.stages)),
        ("peak memory", wording.size(result.peak_rss_bytes)),
    ]
    if result.insecure_srs:
        rows.append(("set-up", "INSECURE, for tests only: everybody can forge such proofs"))
    screens._rows(out, rows)
    command = (
        f"zktrain verify {result.weights} --proof {result.path} --dataset {dataset_root} "
        "--data DATA --srs SRS" + (" --insecure-srs" if result.insecure_srs else "")
    )
    out.print(f"Next: {command}", markup=False)


def accepted(verdict: Verdict, weights: str) -> None:
    from rich.markup import escape

    out = screens.console()
    out.print(f"[bold green]ACCEPTED[/] {escape(weights)} is the result of this training run.")
    out.print("\n[bold]Checked[/]")
    claim = (
        "Every step of training on the given data, in the stated order at the stated rates, has a "
        "proof by ezkl that it leads from the weights before it to those after it, up to the "
        "rounding below; the first weights are those stated, the last are those of the file."
    )
    for line in screens._wrapped(claim, 78):
        out.print(f" {line}")
    screens._rows(out, statement_rows(verdict.statement))
    out.print("\n[bold]Weaker than a proof of the native backend[/]")
    screens._bullets(out, verdict.warnings)
    out.print("\n[bold]Not proven[/]")
    screens._bullets(
        out,
        (
            "that the dataset is good, lawful or free of poison",
            "that the seeds were drawn at random, or that this run was the only one tried",
        ),
    )
    out.print("\n[bold]Figures[/]")
    steps = wording.several(verdict.steps, "step")
    security = "none: 0 bits, since anybody may be able to prove anything with this SRS"
    if verdict.security_bits:
        security = f"about {wording.bits(verdict.security_bits)} bits, conjectured"
    screens._rows(
        out,
        [
            ("security", security),
            ("hides data", "no: verifying takes the data"),
            ("proof", f"{wording.size(verdict.proof_bytes)}, {steps}"),
            ("verified in", wording.span(verdict.seconds)),
        ],
    )


def inspected(found: Inspection) -> None:
    out = screens.console()
    out.print("[bold]Statement[/] as the bundle claims it; nothing has been verified")
    screens._rows(out, statement_rows(found.statement))
    out.print("\n[bold]Sizes[/]")
    steps = wording.several(len(found.steps), "proof")
    rows = [("proofs", f"{steps}, {wording.size(sum(found.steps))}")]
    screens._rows(out, [*rows, ("bundle", wording.size(found.proof_bytes))])
