"""Proofs by ezkl in words, for people, and in fields, for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
        *(row for row in wording.dataset_rows(dataset) if row[0] != "commitment"),
        *wording.run_rows(circuit),
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


def _sized(count: int, steps: int) -> str:
    """``698 kB, 1 step``"""
    return f"{wording.size(count)}, {wording.several(steps, 'step')}"


def statement_fields(statement: EzklStatement) -> dict[str, Any]:
    """The statement as a JSON object."""
    return {
        **wording.run_fields(statement, statement),
        "digest": statement.digest,
        "fractional_bits": statement.parameters.scale,
        "lookup_log": statement.parameters.lookup_log,
        "verifying_key": statement.verifying_key,
        "set_up": statement.srs,
    }


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """An accepted proof as a JSON object."""
    return stated.result_fields(
        verdict,
        left_out=("statement_digest", "dataset_root"),
        accepted=True,
        error=None,
        backend="ezkl",
        statement=statement_fields(verdict.statement),
    )


def proved_fields(result: Proved) -> dict[str, Any]:
    """What ``ezkl prove`` made, as a JSON object."""
    scale = result.parameters.scale
    return stated.result_fields(
        result, left_out=("parameters",), backend="ezkl", fractional_bits=scale
    )


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
        ("size", _sized(result.proof_bytes, result.steps)),
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
    screens.show_rows(out, rows)
    command = (
        f"zktrain ezkl verify {result.weights} --proof {result.path} --dataset {dataset_root} "
        "--data DATA --srs SRS" + (" --insecure-srs" if result.insecure_srs else "")
    )
    out.print(f"Next: {command}", markup=False)


def accepted(verdict: Verdict, weights: str) -> None:
    out = screens.show_accepted(f"{weights} is the result of this training run.")
    screens.show_claim(
        out,
        "Checked",
        "Every step of training on the given data, in the stated order at the stated rates, has a "
        "proof by ezkl that it leads from the weights before it to those after it, up to the "
        "rounding below; the first weights are those stated, the last are those of the file.",
        statement_rows(verdict.statement),
    )
    screens.show_bullets(out, "Weaker than a proof of the native backend", verdict.warnings)
    doubts = (
        "that the dataset is good, lawful or free of poison",
        "that the seeds were drawn at random, or that this run was the only one tried",
    )
    screens.show_bullets(out, "Not proven", doubts)
    security = "none: 0 bits, since anybody may be able to prove anything with this SRS"
    if verdict.security_bits:
        security = f"about {wording.bits(verdict.security_bits)} bits, conjectured"
    screens.show_figures(
        out,
        [
            ("security", security),
            ("hides data", "no: verifying takes the data"),
            ("proof", _sized(verdict.proof_bytes, verdict.steps)),
            ("verified in", wording.span(verdict.seconds)),
        ],
    )


def inspected(found: Inspection) -> None:
    out = screens.console()
    out.print("[bold]Statement[/] as the bundle claims it; nothing has been verified")
    screens.show_rows(out, statement_rows(found.statement))
    out.print("\n[bold]Sizes[/]")
    steps = wording.several(len(found.steps), "proof")
    rows = [("proofs", f"{steps}, {wording.size(sum(found.steps))}")]
    screens.show_rows(out, [*rows, ("bundle", wording.size(found.proof_bytes))])
