"""Sumcheck: honest runs, and lies that the caller's final check catches."""

from __future__ import annotations

import weakref

import field_oracle as oracle
import numpy as np
import pytest
from field_oracle import Pair, extension, pair, pairs, polynomial, random_pairs, residues
from hypothesis import given, settings
from hypothesis import strategies as st

from zktrain.arguments import sumcheck
from zktrain.arguments.sumcheck import next_claim
from zktrain.errors import MalformedProof
from zktrain.field.extension import Ext, ExtVec
from zktrain.prover.arguments import sumcheck as prover_sumcheck
from zktrain.prover.arguments.sumcheck import Machine, ProductMachine, Streamed, interpolate
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

elements = st.integers(0, oracle.P - 1)
scalars = st.tuples(elements, elements)


@settings(deadline=None)
@given(st.lists(scalars, min_size=1, max_size=6), scalars)
def test_interpolate(coefficients: list[Pair], x: Pair) -> None:
    degree = len(coefficients) - 1
    values = [Ext(*polynomial(coefficients, (i, 0))) for i in range(degree + 1)]
    assert pair(interpolate(values, Ext(*x))) == polynomial(coefficients, x)
    for i, value in enumerate(values):
        assert interpolate(values, Ext(i)) == value


@settings(deadline=None)
@given(st.lists(scalars, min_size=2, max_size=5), scalars)
def test_next_claim(coefficients: list[Pair], x: Pair) -> None:
    """The value at 1 is not sent: it follows from the claim."""
    at = [Ext(*polynomial(coefficients, (i, 0))) for i in range(len(coefficients))]
    message = [at[0], *at[2:]]
    assert pair(next_claim(at[0] + at[1], message, Ext(*x))) == polynomial(coefficients, x)


def true_sum(terms: list[tuple[ExtVec, ...]]) -> Pair:
    out = (0, 0)
    for term in terms:
        for cells in zip(*(pairs(table) for table in term), strict=True):
            product = (1, 0)
            for cell in cells:
                product = oracle.mul(product, cell)
            out = oracle.add(out, product)
    return out


def at_point(terms: list[tuple[ExtVec, ...]], point: list[Pair]) -> Pair:
    out = (0, 0)
    for term in terms:
        product = (1, 0)
        for table in term:
            product = oracle.mul(product, extension(pairs(table), point))
        out = oracle.add(out, product)
    return out


def run(
    terms: list[tuple[ExtVec, ...]], claim: Pair
) -> tuple[Pair, list[Pair], list[tuple[Ext, ...]]]:
    """Reduced claim, point and the prover's final values for ``claim``."""
    machine = ProductMachine(list(terms))
    rounds, degree = machine.rounds, machine.degree
    channel = ProverChannel(Challenger("sumcheck"))
    point = prover_sumcheck.prove(channel, "test", machine)
    proof = channel.proof()
    assert len(proof) == 16 * degree * rounds
    verifier = VerifierChannel(Challenger("sumcheck"), proof)
    reduced, same = sumcheck.verify(verifier, "test", Ext(*claim), rounds, degree)
    verifier.finish()
    assert same == point
    return pair(reduced), [pair(x) for x in point], machine.finals()


def random_terms(seed: int, variables: int, factors: int, count: int) -> list[tuple[ExtVec, ...]]:
    rng = np.random.default_rng(seed)
    size = 1 << variables
    return [tuple(residues(rng, 2, size) for _ in range(factors)) for _ in range(count)]


@pytest.mark.parametrize("variables", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("factors", [2, 3])
@pytest.mark.parametrize("count", [1, 3])
def test_honest_runs_reduce_to_the_value_at_the_point(
    variables: int, factors: int, count: int
) -> None:
    terms = random_terms(variables, variables, factors, count)
    reduced, point, finals = run(terms, true_sum(terms))
    assert reduced == at_point(terms, point)
    for term, values in zip(terms, finals, strict=True):
        assert [pair(v) for v in values] == [extension(pairs(table), point) for table in term]


@pytest.mark.parametrize("factors", [2, 3])
def test_tables_shared_between_terms(factors: int) -> None:
    (a,), (b,) = (t[:1] for t in random_terms(1, 4, 1, 2))
    terms = [(a,) * factors, (a, *(b,) * (factors - 1))]
    reduced, point, _ = run(terms, true_sum(terms))
    assert reduced == at_point(terms, point)


@pytest.mark.parametrize("factors", [2, 3])
def test_a_false_sum_survives_until_the_final_check(factors: int) -> None:
    """Every round is consistent with the last one by construction; only ``g(r)`` tells."""
    terms = random_terms(2, 6, factors, 2)
    reduced, point, _ = run(terms, oracle.add(true_sum(terms), (1, 0)))
    assert reduced != at_point(terms, point)


@pytest.mark.parametrize("lie_round", range(5))
def test_a_lie_in_any_round_is_caught_by_the_final_check(lie_round: int) -> None:
    """A prover who starts from a false sum repairs it in one round with a made-up polynomial."""
    terms = random_terms(3, 5, 2, 1)
    machine = ProductMachine(list(terms))
    channel = ProverChannel(Challenger("sumcheck"))
    for number in range(5):
        message = machine.message()
        if number == lie_round:
            message = [message[0] + 1, *message[1:]]
        channel.send("test/round", message)
        machine.bind(channel.challenger.element("test/point"))
    for claim in (true_sum(terms), oracle.add(true_sum(terms), (1, 0))):
        verifier = VerifierChannel(Challenger("sumcheck"), channel.proof())
        reduced, point = sumcheck.verify(verifier, "test", Ext(*claim), 5, 2)
        assert pair(reduced) != at_point(terms, [pair(x) for x in point])


def test_a_lie_passes_only_where_its_error_polynomial_vanishes() -> None:
    """With a challenge known in advance the lie works: soundness is the challenger's."""
    (term,) = terms = random_terms(4, 1, 2, 1)
    r = random_pairs(np.random.default_rng(1), 1)[0]
    true = [Ext(*polynomial_value(term, x)) for x in (0, 2)]
    claim = Ext(*true_sum(terms))
    honest = next_claim(claim, true, Ext(*r))
    # shifting the claim by one adds x (2 - x) to the round polynomial; repair it at 2 for this r
    shifted = next_claim(claim + 1, true, Ext(*r))
    slope = next_claim(claim, [true[0], true[1] + 1], Ext(*r)) - honest
    repaired = [true[0], true[1] - (shifted - honest) * slope.inverse()]
    assert next_claim(claim + 1, repaired, Ext(*r)) == honest
    assert next_claim(claim + 1, repaired, Ext(*r) + 1) != next_claim(claim, true, Ext(*r) + 1)


def polynomial_value(term: tuple[ExtVec, ...], x: int) -> Pair:
    out = (1, 0)
    for table in term:
        out = oracle.mul(out, extension(pairs(table), [(x, 0)]))
    return out


def test_terms_of_different_degree_are_refused() -> None:
    a, b = random_terms(5, 2, 2, 1)[0]
    with pytest.raises(ValueError, match="same number of factors"):
        ProductMachine([(a, b), (a, b, b)]).message()


def proof_of(machine: Machine) -> bytes:
    channel = ProverChannel(Challenger("sumcheck"))
    prover_sumcheck.prove(channel, "test", machine)
    return channel.proof()


@pytest.mark.parametrize("memory", [None, 0, 300, 1 << 10, 1 << 13, 1 << 40])
@pytest.mark.parametrize("factors", [2, 3])
@pytest.mark.parametrize(
    ("variables", "log_parts"), [(7, 0), (7, 3), (6, 2), (5, 5), (4, 3), (3, 1), (2, 0), (1, 0)]
)
def test_streamed_parts_give_the_same_messages(
    variables: int, log_parts: int, factors: int, memory: int | None
) -> None:
    terms = random_terms(7, variables, factors, 2)
    terms[1] = (terms[0][0], *terms[1][1:])  # shared
    cells = 1 << variables - log_parts
    built = 0

    def part(number: int) -> list[tuple[ExtVec, ...]]:
        nonlocal built
        built += 1
        here = slice(number * cells, (number + 1) * cells)
        shared = terms[0][0][:, here].copy()
        return [(shared, *(table[:, here].copy() for table in term[1:])) for term in terms]

    whole = ProductMachine(terms)
    streamed = Streamed([lambda s=s: part(s) for s in range(1 << log_parts)], memory)  # type: ignore[misc]
    assert (streamed.rounds, streamed.degree) == (variables, factors)
    assert proof_of(streamed) == proof_of(whole)
    assert streamed.finals() == whole.finals()
    assert built == streamed.passes << log_parts
    size = 16 * (2 * factors - 1) << variables
    rounds = 0
    while memory is not None and size >> rounds > memory and cells >> rounds >= 4:
        rounds += 2
    assert streamed.passes == rounds // 2 + 1


@pytest.mark.parametrize("memory", [None, 0, 1 << 10])
def test_parts_of_one_value_everywhere(memory: int | None) -> None:
    (term,) = random_terms(8, 6, 2, 1)
    (last,) = random_terms(9, 0, 2, 1)
    for table, value in zip(term, last, strict=True):
        table[:, 48:] = value
    constant = [tuple(Ext(int(x[0, 0]), int(x[1, 0])) for x in last)]
    cut = [lambda s=s: [tuple(t[:, 16 * s : 16 * s + 16].copy() for t in term)] for s in range(3)]  # type: ignore[misc]
    whole, streamed = ProductMachine([term]), Streamed([*cut, constant], memory)
    assert proof_of(streamed) == proof_of(whole)
    assert streamed.finals() == whole.finals()


def test_parts_that_are_no_power_of_two() -> None:
    with pytest.raises(ValueError, match="power of two of parts"):
        Streamed([lambda: random_terms(1, 2, 2, 1)] * 3)


def test_a_part_is_gone_before_the_next_is_built() -> None:
    alive: list[weakref.ref[ExtVec]] = []

    def part() -> list[tuple[ExtVec, ...]]:
        assert not any(table() is not None for table in alive)
        alive.clear()
        terms = random_terms(1, 5, 2, 1)
        alive.extend(weakref.ref(table) for table in terms[0])
        return terms

    machine = Streamed([part] * 4, 0)
    proof_of(machine)
    assert machine.passes == 3


def test_missing_rounds_are_malformed() -> None:
    terms = random_terms(6, 3, 2, 1)
    channel = ProverChannel(Challenger("sumcheck"))
    prover_sumcheck.prove(channel, "test", ProductMachine(list(terms)))
    verifier = VerifierChannel(Challenger("sumcheck"), channel.proof())
    with pytest.raises(MalformedProof, match="ends inside"):
        sumcheck.verify(verifier, "test", Ext(*true_sum(terms)), 4, 2)
