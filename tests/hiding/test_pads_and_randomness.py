"""Pads serve once, randomness comes from the operating system, and secrets stay where they are.

Two proofs of one run under the same fixed challenges have the same values behind the pads, so
whatever differs between them is randomness.
"""

from __future__ import annotations

import ast
import os
import stat
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from patched import everywhere
from probing import Frozen
from tiny_run import write_data, write_recipe

import zktrain
from zktrain.commitment import ligero
from zktrain.commitment.hiding import HidingVerifier, Layout
from zktrain.dataset.commitment import query_bits
from zktrain.dataset.public_file import read_public
from zktrain.dataset.readers import read_dataset
from zktrain.errors import SumcheckMismatch
from zktrain.field.extension import Ext
from zktrain.field.goldilocks import P
from zktrain.protocol import certificate as certificates
from zktrain.protocol import proof as run_proof
from zktrain.protocol.bundle import Bundle, parse, parse_statement
from zktrain.protocol.statement import Statement
from zktrain.prover import journal, randomness
from zktrain.prover.commitment import hiding
from zktrain.prover.commitment.hiding import HidingProver
from zktrain.prover.dataset import secret_file
from zktrain.prover.dataset.commitment import CommittedDataset, commit_records
from zktrain.prover.protocol import proof as prover_proof
from zktrain.prover.randomness import (
    BLOCK_CELLS,
    SECRET_BYTES,
    Randomness,
    expand,
    new_secret,
    system,
)
from zktrain.training.run import Run
from zktrain.training.witness import run_witness
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

BITS = 40.0
PACKAGE = Path(zktrain.__file__).parent
OPENINGS = 4


# pads are counted


def test_a_scalar_more_than_there_are_pads_is_not_sent() -> None:
    prover = HidingProver(Challenger("pads"), Layout(2), BITS)
    prover.send("both", [Ext(1), Ext(2)])
    before = prover.proof()
    with pytest.raises(ValueError, match="'third' has more scalars than there are pads"):
        prover.send("third", [Ext(3)])
    assert prover.proof() == before


def test_a_proof_does_not_end_before_all_pads_are_used() -> None:
    prover = HidingProver(Challenger("pads"), Layout(2), BITS)
    prover.send("one", [Ext(1)])
    replay = HidingVerifier(Challenger("pads"), prover.proof(), Layout(2), BITS)
    with pytest.raises(ValueError, match="1 pads were not used"):
        prover.close(replay)


def test_a_replay_in_clear_ends_no_hiding_proof() -> None:
    prover = HidingProver(Challenger("pads"), Layout(1), BITS)
    with pytest.raises(TypeError, match="the replay of a hiding prover hides"):
        prover.close(VerifierChannel(Challenger("pads"), prover.proof()))


def test_a_verifier_insists_on_the_scalars_of_its_dry_run() -> None:
    prover = HidingProver(Challenger("pads"), Layout(2), BITS)
    prover.send("both", [Ext(1), Ext(2)])
    replay = HidingVerifier(Challenger("pads"), prover.proof(), Layout(2), BITS)
    (first,) = replay.receive("both", 1)
    replay.check(lambda: first, SumcheckMismatch("one"))
    with pytest.raises(ValueError, match="other scalars than its dry run"):
        prover.close(replay)


# two proofs of one run


@dataclass
class Log:
    """What one proof sent: padded scalars with their values, by position; other messages."""

    padded: list[tuple[str, int, Ext, Ext]] = field(default_factory=list)
    clear: list[tuple[str, list[Ext]]] = field(default_factory=list)
    cells: list[tuple[str, bytes]] = field(default_factory=list)
    digests: list[tuple[str, bytes]] = field(default_factory=list)
    prover: HidingProver | None = None

    def labelled(self, label: str) -> list[bytes]:
        return [data for name, data in (*self.cells, *self.digests) if name == label]


@contextmanager
def logged() -> Iterator[dict[str, Log]]:
    """Logs of all hiding proofs made inside, by name, under challenges that are always the same."""
    logs: dict[str, Log] = {}

    class Logged(HidingProver):
        def __init__(self, challenger: Frozen, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
            self.log = logs.setdefault(challenger.name, Log())
            self.log.prover = self
            super().__init__(challenger, *args, **kwargs)

        def send(self, label: str, values: list[Ext]) -> None:
            first, number = self._used, len(self.log.clear)
            super().send(label, values)
            ((_, sent),) = self.log.clear[number:]
            del self.log.clear[number:]
            for k, (value, message) in enumerate(zip(values, sent, strict=True)):
                self.log.padded.append((label, first + k, value, message))

        def send_clear(self, label: str, values: list[Ext]) -> None:
            self.log.clear.append((label, values))
            super().send_clear(label, values)

        def send_cells(self, label: str, cells: np.ndarray) -> None:
            self.log.cells.append((label, cells.tobytes()))
            super().send_cells(label, cells)

        def send_digest(self, label: str, digest: bytes) -> None:
            self.log.digests.append((label, digest))
            super().send_digest(label, digest)

    def certificate(*_: object) -> Frozen:
        return Frozen("certificate")

    def whole_run(*_: object) -> Frozen:
        return Frozen("proof")

    with (
        mock.patch.object(hiding, "HidingProver", Logged),
        everywhere(certificates, "challenger_of", certificate),
        everywhere(run_proof, "challenger_of", whole_run),
    ):
        yield logs


@contextmanager
def expanded() -> Iterator[list[int]]:
    """Sizes of all requests to what is expanded from the seed of a proof."""
    sizes: list[int] = []

    def expand(secret: bytes, label: str) -> randomness.Randomness:
        assert label == "proof"
        source = true(secret, label)._source

        def counted(number: int, size: int) -> bytes:
            sizes.append(size)
            return source(number, size)

        return randomness.Randomness(counted)

    true = journal.expand
    with mock.patch.object(journal, "expand", expand):
        yield sizes


@contextmanager
def recorded() -> Iterator[list[int]]:
    """Sizes of all requests to the operating system's randomness."""
    sizes: list[int] = []

    def urandom(size: int) -> bytes:
        sizes.append(size)
        return true(size)

    true = randomness.os.urandom
    with mock.patch.object(randomness, "os", SimpleNamespace(urandom=urandom)):
        yield sizes


@dataclass(frozen=True)
class Trained:
    """A committed dataset and a trained run in folders of their own."""

    data: Path
    public: Path
    run: Path
    recipe: Path

    @property
    def secret(self) -> secret_file.Secret:
        return secret_file.read(secret_file.secret_path(self.public))

    def dataset(self) -> CommittedDataset:
        records = read_dataset(str(self.data), "train")
        return commit_records(records, self.secret.seed, self.secret.openings)


@dataclass(frozen=True)
class Proved:
    """One proof of the run: bundle, logs, bytes drawn from the system, and from the seed."""

    bundle: Bundle
    data: bytes
    certificate: bytes
    logs: dict[str, Log]
    drawn: int
    expanded: int

    @property
    def statement(self) -> Statement:
        return parse_statement(self.bundle)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("pads")
    owner = folder / "owner"
    owner.mkdir()
    data, recipe = write_data(folder / "data.npz"), write_recipe(folder)
    zktrain.commit(data, out=owner / "data.zkd", openings=OPENINGS)
    zktrain.train(recipe, data=data, out=folder / "run", dataset=owner / "data.zkd")
    return Trained(data, owner / "data.zkd", folder / "run", recipe)


@pytest.fixture(scope="module")
def proofs(trained: Trained) -> tuple[Proved, Proved]:
    """The run proved twice from the start, under one sequence of challenges."""
    found = []
    for _ in range(2):
        for name in ("proof.zkt", "dataset.zkd"):
            (trained.run / name).unlink(missing_ok=True)
        with logged() as logs, recorded() as sizes, expanded() as more:
            data = zktrain.prove(trained.run).path.read_bytes()
        _, certificate = read_public(trained.run / "dataset.zkd")
        found.append(Proved(parse(data), data, certificate, logs, sum(sizes), sum(more)))
    return found[0], found[1]


NAMES = ["certificate", "proof"]


@pytest.mark.parametrize("name", NAMES)
def test_each_pad_serves_once(proofs: tuple[Proved, Proved], name: str) -> None:
    """In order, none left out, and taken from the value."""
    log = proofs[0].logs[name]
    assert log.prover is not None
    pads = log.prover._pads
    assert [at for _, at, _, _ in log.padded] == list(range(pads.shape[1]))
    for _, at, value, sent in log.padded:
        assert sent == value - Ext(int(pads[0, at]), int(pads[1, at]))
    elements = np.concatenate([pads, log.prover._blinds], axis=1)
    assert len({(int(a), int(b)) for a, b in elements.T}) == elements.shape[1]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_sent_without_a_pad(proofs: tuple[Proved, Proved], name: str) -> None:
    """A list of all labels: another message in clear needs a reason."""
    proved, log = proofs[0], proofs[0].logs[name]
    plan = _plan(proved, name)
    below = sum(level.variables for level in plan.deeper[1:])
    scalars = Counter(label for label, _ in log.clear)
    assert scalars.pop("opening/fold/round", 0) == below
    assert set(scalars) == {"hidden/openings"}
    cells = Counter(label for label, _ in log.cells)
    assert cells.pop("opening/rows") >= len(plan.levels)
    once = ("opening/clear", "opening/tail", "hidden/proximity", "hidden/relation")
    assert cells == Counter((*once, "hidden/columns"))
    digests = {label for label, _ in log.digests}
    paths = {"hidden/root", "hidden/path", "opening/root", "opening/path"}
    assert digests == paths | ({"commitment"} if name == "proof" else set())


def _plan(proved: Proved, name: str):  # type: ignore[no-untyped-def]
    statement = proved.statement
    if name == "certificate":
        return certificates.certificate_plan(statement.dataset)
    return statement.opening_plan


@pytest.mark.parametrize("name", NAMES)
def test_two_proofs_share_no_padded_scalar(proofs: tuple[Proved, Proved], name: str) -> None:
    """The same values at the same challenges (but for those of tails and masks), and all of them
    look different."""
    first, second = (proved.logs[name] for proved in proofs)
    values = [
        [
            entry[:3]
            for entry in log.padded
            if entry[0] not in ("opening/fold/round", "opening/mask")
        ]
        for log in (first, second)
    ]
    assert values[0] == values[1] and len(values[0]) > 10
    for (_, _, _, one), (_, _, _, other) in zip(first.padded, second.padded, strict=True):
        assert one.a != other.a and one.b != other.b
    for label in ("hidden/root", "opening/root", "opening/tail", "opening/clear"):
        pairs = zip(first.labelled(label), second.labelled(label), strict=True)
        assert all(a != b for a, b in pairs), label
    for label in ("hidden/proximity", "hidden/relation", "hidden/columns"):
        cells = [np.frombuffer(*log.labelled(label), dtype="<u8") for log in (first, second)]
        assert (cells[0] != cells[1]).all(), label
    openings = [dict(log.clear).get("hidden/openings", []) for log in (first, second)]
    assert all(a != b for a, b in zip(*openings, strict=True))


def test_two_proofs_share_no_commitment_but_the_datasets(proofs: tuple[Proved, Proved]) -> None:
    first, second = proofs
    roots = [proved.logs["proof"].labelled("commitment") for proved in proofs]
    assert roots[0] != roots[1]
    rows = [proved.logs["proof"].labelled("opening/rows") for proved in proofs]
    own, dataset, *deeper = zip(*rows, strict=True)
    assert dataset[0] == dataset[1] and deeper  # positions are the same here
    for pair in (own, *deeper):
        cells = [np.frombuffer(data, dtype="<u8") for data in pair]
        assert (cells[0] != cells[1]).all()
    assert first.bundle.dataset_json == second.bundle.dataset_json


# what the operating system is asked for


def _pads_bytes(layout: Layout | None, bits: float) -> int:
    """Pads, random ``a_k``, rows of the code, salts."""
    assert layout is not None
    sizes = ligero.parameters(layout.count, bits)
    elements = layout.scalars + len(layout.products)
    elements += (sizes.rows + ligero.BLINDS) * sizes.degree + sizes.rows * sizes.queries
    return 16 * elements + 16 * (1 << sizes.code_log)


def _mask_bytes(plan) -> int:  # type: ignore[no-untyped-def]
    """Mask, tails of level 1, salts."""
    level = plan.deeper[0]
    return 16 * ((1 << level.message_log) + level.tail * level.lanes + (1 << level.code_log))


def test_a_proof_draws_all_its_randomness(proofs: tuple[Proved, Proved]) -> None:
    """Each byte of the certificate and of the proof's seed from the system, each byte of the proof
    from its seed. Rejection asks for more only once in four thousand million cells."""
    for proved in proofs:
        statement = proved.statement
        layout = certificates.certificate_layout(statement.dataset)
        drawn = _pads_bytes(layout, query_bits()) + _mask_bytes(_plan(proved, "certificate"))
        assert drawn + SECRET_BYTES <= proved.drawn < drawn + SECRET_BYTES + 256
        packing = statement.packing
        own = 8 * len(packing.live_lanes) * packing.tail + 16 * (1 << packing.code_log)
        own += _pads_bytes(statement.layout, statement.query_bits)
        own += _mask_bytes(_plan(proved, "proof"))
        assert own <= proved.expanded < own + 256


def test_a_commitment_draws_a_new_secret(tmp_path: Path, trained: Trained) -> None:
    """32 bytes, from which all else is expanded; the same data get another root each time."""
    roots = set()
    for k in range(2):
        with recorded() as sizes:
            path = tmp_path / f"{k}.zkd"
            roots.add(zktrain.commit(trained.data, out=path, openings=1).root)
        assert sizes[0] == SECRET_BYTES and len(sizes) > 1
    assert len(roots) == 2
    records = read_dataset(str(trained.data), "train")
    secret = new_secret()
    same = {commit_records(records, secret, 1).header.root for _ in range(2)}
    assert len(same) == 1
    assert commit_records(records, secret, 2).header.root not in same


# where secrets are


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secret_files_are_the_owners_alone(trained: Trained, proofs: tuple[Proved, Proved]) -> None:
    assert _mode(secret_file.secret_path(trained.public)) == 0o600
    before = trained.secret
    path, header = secret_file.secret_path(trained.public), trained.dataset().header
    secret_file.spend(path, header, before.opened[0], 1)
    assert trained.secret == before
    assert _mode(path) == 0o600


def test_the_run_does_not_copy_the_owners_secret(
    trained: Trained, proofs: tuple[Proved, Proved]
) -> None:
    """It knows the path."""
    secret = trained.secret
    files = [path for path in trained.run.rglob("*") if path.is_file()]
    assert len(files) > 8 and not [path for path in files if path.name.endswith(".secret")]
    for path in files:
        data = path.read_bytes()
        assert secret.secret.encode() not in data and secret.seed not in data


def test_a_run_without_a_dataset_file_keeps_its_own_secret(
    trained: Trained, tmp_path: Path
) -> None:
    zktrain.train(trained.recipe, data=trained.data, out=tmp_path / "run")
    (path,) = (tmp_path / "run").glob("*.secret")
    assert _mode(path) == 0o600 and secret_file.read(path).positions == 0


def _words(data: bytes) -> set[int]:
    return set(np.frombuffer(data[: len(data) // 8 * 8], dtype="<u8").tolist())


def _halfway(trained: Trained) -> Iterator[np.ndarray]:
    """Rows of the weights after four of six steps."""
    run = Run.open(trained.run)
    _, weights = run_witness(run.circuit, run.records(), run.boundary(0), 0, 4, 4)
    for values in weights.values():
        yield from np.ascontiguousarray(values)


def test_no_secret_is_in_what_is_published(trained: Trained, proofs: tuple[Proved, Proved]) -> None:
    """Secrets as text and bytes, records and weights in between as they lie in memory, and, cell by
    cell, the pads, the coefficients that hide them, and tails."""
    dataset = trained.dataset()
    tails = dataset.committed.tails
    assert tails is not None
    hidden = {int(cell) for cell in tails.reshape(-1)}
    texts = [trained.secret.secret.encode(), trained.secret.seed]
    records = read_dataset(str(trained.data), "train")
    texts += [row.tobytes() for row in records.inputs]
    texts += [row.astype("<u8").tobytes() for row in records.inputs]
    texts += [column.tobytes() for column in dataset.columns["inputs"][: records.inputs.shape[1]]]
    texts += [row.tobytes() for row in _halfway(trained) if row.nbytes >= 24]
    for proved in proofs:
        parts = {"certificate": proved.certificate, "proof": bytes(proved.bundle.proof)}
        for name, data in parts.items():
            assert len(data) % 8 == 0
            prover = proved.logs[name].prover
            assert prover is not None
            coefficients = prover._committed.coefficients.copy()
            coefficients[:, -1, -1] = 0  # of B_1: as it is, the first of p
            own = (prover._pads, prover._blinds, coefficients)
            mine = {int(cell) for array in own for cell in array.reshape(-1)} - {0}
            assert not (hidden | mine) & _words(data)
        for data in (proved.data, proved.certificate, trained.public.read_bytes()):
            assert len(texts) > 50 and not [text for text in texts if text in data]


def test_openings_are_counted_before_they_are_made(trained: Trained, tmp_path: Path) -> None:
    """A proof has spent what it reveals when its bytes get a name that somebody may read, and
    nothing when it fails before: its randomness never answered anybody."""
    owner, run = tmp_path / "owner", tmp_path / "run"
    owner.mkdir()
    public = owner / "data.zkd"
    zktrain.commit(trained.data, out=public, openings=1)
    zktrain.train(trained.recipe, data=trained.data, out=run, dataset=public)
    path = secret_file.secret_path(public)
    committed = secret_file.read(path)
    header = secret_file.read_public(public)[0]
    assert committed.positions == certificates.certificate_plan(header).commitments[0].queries
    _interrupted(prover_proof, run)
    assert secret_file.read(path) == committed
    assert not (run / "proof.zkt").exists()

    counted: dict[str, int] = {}
    honest = os.replace

    def renamed(source: str, target: str) -> None:
        counted[Path(target).name] = secret_file.read(path).positions
        honest(source, target)

    with mock.patch.object(os, "replace", renamed):
        proof = zktrain.prove(run).path
    opened = parse_statement(parse(proof.read_bytes())).dataset_positions
    assert counted["proof.zkt"] == committed.positions + opened > committed.positions


def _interrupted(part: ModuleType, run: Path) -> None:
    """Proving stops where ``part.prove`` begins."""
    patch = mock.patch.object(part, "prove", side_effect=KeyboardInterrupt)
    with patch, pytest.raises(KeyboardInterrupt):
        zktrain.prove(run)


# the generator


def test_cells_are_uniform_by_rejection() -> None:
    """Words from p on are drawn again, in their place; all others stay as they are."""
    words = [5, P, P - 1, 2**64 - 1, P + 7, 0]
    again, once_more = [P + 1, 11, 12], [13]
    answers = [words, again, once_more]
    asked = []

    def source(number: int, size: int) -> bytes:
        asked.append((number, size))
        found = answers.pop(0)
        return struct.pack(f"<{len(found)}Q", *found)

    assert Randomness(source).cells(2, 3).tolist() == [[5, 13, P - 1], [11, 12, 0]]
    assert asked == [(1, 48), (2, 24), (3, 8)] and not answers


def test_no_cells_need_no_randomness() -> None:
    assert Randomness(lambda number, size: bytes(size)).cells(2, 0).shape == (2, 0)


def test_many_cells_are_asked_for_in_blocks() -> None:
    """Each block is a request of its own, in its place, whoever answers first."""

    def source(number: int, size: int) -> bytes:
        time.sleep(0.02 / number)
        return struct.pack("<Q", number) * (size // 8)

    random = Randomness(source)
    first, second = random.cells(BLOCK_CELLS, 3), random.cells(BLOCK_CELLS + 1)
    assert (first.reshape(3, -1) == [[1], [2], [3]]).all()
    assert (second[:-1] == 4).all() and second[-1] == 5


def test_streams_of_a_secret_are_independent() -> None:
    """Other secrets, labels and requests give other cells; the same ones the same."""
    secret, other = bytes(32), bytes(31) + b"\1"

    def streams() -> list[np.ndarray]:
        found = []
        for seed in (secret, other):
            for label in ("dataset", "data", "dataset 1", ""):
                random = expand(seed, label)
                found += [random.cells(16), random.cells(16)]
        return found

    cells = np.stack(streams())
    assert np.array_equal(cells, np.stack(streams()))
    assert len(set(cells.reshape(-1).tolist())) == cells.size
    assert not np.array_equal(expand(secret, "a").cells(4), expand(secret, "a").cells(8)[4:])
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError, match="32 bytes"):
            expand(wrong, "dataset")


def test_cells_are_spread_evenly() -> None:
    """A coarse look at both sources: 2^14 cells in sixteen equal parts of the field."""
    for random in (expand(bytes(32), "spread"), system()):
        counts = np.bincount((random.cells(1 << 14) >> np.uint64(60)).astype(int), minlength=16)
        assert abs(counts - 1024).max() < 250  # eight standard deviations


# no other generator


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@cache
def _modules() -> dict[str, ast.Module]:
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def _used(tree: ast.Module) -> set[str]:
    """Full dotted names of everything from other packages that a module imports or uses."""
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                imported[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    found = set(imported.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            root, *rest = _dotted(node).split(".")
            if root in imported:
                found.add(".".join([imported[root], *rest]))
    return found


GENERATORS = ("numpy.random", "random", "secrets", "uuid", "os.urandom", "os.getrandom")
IN_TORCH = ("torch.rand", "torch.manual_seed", "torch.Generator", "torch.normal", "torch.bernoulli")


def _is_generator(name: str) -> bool:
    return name.startswith(IN_TORCH) or any(
        name == root or name.startswith(f"{root}.") for root in GENERATORS
    )


def test_no_other_generator_is_in_the_package() -> None:
    """``secrets`` names a temporary file, and draws the point at which an SRS is checked."""
    found = {(m, name) for m, tree in _modules().items() for name in _used(tree)}
    assert ("prover/randomness.py", "hashlib.shake_256") in found and len(found) > 300
    assert {use for use in found if _is_generator(use[1])} == {
        ("disk.py", "secrets"),
        ("disk.py", "secrets.token_hex"),
        ("prover/cluster.py", "uuid"),  # names of tasks
        ("prover/cluster.py", "uuid.uuid4"),
        ("prover/randomness.py", "os.urandom"),
        ("ezkl/srs/checking.py", "secrets"),
        ("ezkl/srs/checking.py", "secrets.randbelow"),
    }


def test_the_generators_of_randomness_are_the_two_known() -> None:
    """The operating system, and SHAKE-256 of a secret that the operating system drew."""
    tree = _modules()["prover/randomness.py"]
    calls = {_dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert {name for name in calls if name.startswith(("os.", "hashlib."))} == {
        "os.urandom",
        "hashlib.shake_256",
    }
    imports = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert imports == {"hashlib", "os", "numpy"}


def test_where_randomness_is_made() -> None:
    """Datasets and proofs expand secrets of their own; the verbs pass them no randomness."""
    makers: dict[str, set[str]] = {"expand": set(), "Randomness": set(), "new_secret": set()}
    labels, passing = [], []
    for module, tree in _modules().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = _dotted(node.func).removeprefix("randomness.")
            if name in makers:
                makers[name].add(module)
            if name == "expand":
                labels.append(ast.unparse(node.args[1]))
            if module in ("_prove.py", "_commit.py", "_train.py"):
                passing += [k for k in node.keywords if k.arg == "random"]
    assert makers == {
        "expand": {"prover/dataset/commitment.py", "prover/journal.py"},
        "Randomness": {"prover/randomness.py"},
        "new_secret": {"_commit.py", "_train.py", "prover/journal.py"},
    }
    assert sorted(labels) == ["'dataset'", "'proof'"]
    assert not passing


@pytest.mark.parametrize(
    "line",
    [
        "import numpy as np; np.random.default_rng(0)",
        "from numpy import random",
        "from numpy.random import default_rng as draw; draw(0)",
        "import random",
        "import torch; torch.randn(3)",
        "import torch as t; t.manual_seed(0)",
        "from torch import rand_like",
        "import secrets",
        "import os; os.urandom(8)",
        "from os import urandom",
    ],
)
def test_the_search_for_generators_finds_them(line: str) -> None:
    assert any(_is_generator(name) for name in _used(ast.parse(line)))


@pytest.mark.parametrize(
    "line", ["random = system(); random.cells(2)", "import torch; torch.round(x)", "import os"]
)
def test_the_search_for_generators_finds_nothing_else(line: str) -> None:
    assert not any(_is_generator(name) for name in _used(ast.parse(line)))
