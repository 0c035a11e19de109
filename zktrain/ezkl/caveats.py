"""What a verdict on proofs by ezkl has to say about itself."""

from __future__ import annotations

from .reference import Srs
from .statement import EzklStatement

CONJECTURED_BITS = 100
"""Of the discrete logarithm on BN254 and its pairing [BD19], not of anything proven here."""


def caveats(statement: EzklStatement, srs: Srs, *, pinned: bool) -> tuple[str, ...]:
    """The warnings of a verdict, what the user did first, then what is weaker than the native
    backend. ``pinned``: the user said which circuit it must be."""
    scale = statement.parameters.scale
    out = []
    if srs.insecure:
        out.append(
            "INSECURE SET-UP: everybody knows the secret of this SRS, made for tests, and can "
            "prove anything with it"
        )
    if not srs.is_checked:
        out.append(
            "UNCHECKED SET-UP: whoever made up a false SRS can prove anything with it, so that "
            "these are 0 bits"
        )
    if not pinned:
        out.append(
            "no circuit was pinned: read below which network and recipe were proven, "
            "or pin one with --circuit"
        )
    return (
        *out,
        f"fixed point of ezkl, {scale} fractional bits: each rescaled value is within one unit, "
        f"2^-{scale}, of the exact one, and the prover may choose on which side; a unit decides "
        "whether a ReLU lets a gradient through, so that no bound on the weights follows, not even "
        "for one step: weights 1,556 units apart after three steps were both accepted",
        "trusted set-up: whoever knows the secret behind the SRS can prove anything",
        f"about {CONJECTURED_BITS} bits of security on BN254, conjectured; none of the terms is "
        "proven",
        "the order of batches is checked with the data in hand: nothing hides the dataset from who "
        "verifies, and hashes of weights between steps are not blinded",
        "one proof for every step: size and time of verifying grow with the run",
    )
