"""The contracts that ezkl writes accept a proof of their keys, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evm_machine
import pytest
from evm_machine import Deployed

from zktrain import InputError, MalformedProof
from zktrain.ezkl import evm
from zktrain.ezkl.calldata import read_proof, register_call, verify_call
from zktrain.ezkl.evm import MAX_CODE_BYTES, Exported, export
from zktrain.ezkl.srs import generate
from zktrain.ezkl.srs.curve import R

TRUE = (1).to_bytes(32, "big")


@dataclass
class Product:
    """``a b`` of two public vectors, proved by ezkl."""

    folder: Path
    proof: bytes
    instances: tuple[int, ...]

    def export(self, out: Path, **changes: Any) -> Exported:
        given = {
            "settings": self.folder / "settings.json",
            "vk": self.folder / "vk.key",
            "srs": self.folder / "test.srs",
            "proof": self.proof,
            "instances": self.instances,
        }
        return export(out, **{**given, **changes})


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    ezkl = pytest.importorskip("ezkl")
    import onnx
    from onnx import TensorProto, helper

    folder = tmp_path_factory.mktemp("product")
    names = {
        name: str(folder / name)
        for name in (
            *("net.onnx", "settings.json", "net.ezkl", "vk.key", "pk.key", "test.srs"),
            *("input.json", "witness.json", "proof.json"),
        )
    }
    a, b, out = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3]) for n in "abo")
    graph = helper.make_graph([helper.make_node("Mul", ["a", "b"], ["o"])], "g", [a, b], [out])
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), names["net.onnx"])
    arguments = ezkl.PyRunArgs()
    arguments.input_visibility = arguments.output_visibility = "public"
    arguments.logrows, arguments.decomp_base, arguments.decomp_legs = 9, 128, 3
    arguments.lookup_range = (-128, 128)
    ezkl.gen_settings(names["net.onnx"], names["settings.json"], py_run_args=arguments)
    ezkl.compile_circuit(names["net.onnx"], names["net.ezkl"], names["settings.json"])
    generate(9, names["test.srs"])
    ezkl.setup(names["net.ezkl"], names["vk.key"], names["pk.key"], names["test.srs"])
    data = {"input_data": [[0.5, 0.25, 1.0], [1.0, 2.0, -0.5]]}
    Path(names["input.json"]).write_text(json.dumps(data))
    ezkl.gen_witness(names["input.json"], names["net.ezkl"], names["witness.json"])
    ezkl.prove(
        *(names[n] for n in ("witness.json", "net.ezkl", "pk.key", "proof.json", "test.srs"))
    )
    return Product(folder, *read_proof(names["proof.json"]))


@dataclass
class OnChain:
    """A contract that was deployed, and told of its key if it holds none."""

    code: dict[str, Any]
    deployed: Deployed
    key: list[bytes] | None
    digest: bytes | None
    insecure: bool
    verify: bytes


def call_of(path: Path) -> bytes:
    return bytes.fromhex(path.read_text().strip().removeprefix("0x"))


@pytest.fixture(scope="module", params=["one per key", "one for all"])
def chain(
    request: pytest.FixtureRequest, product: Product, tmp_path_factory: pytest.TempPathFactory
) -> OnChain:
    reason = evm_machine.missing_compiler()
    if reason is not None:
        pytest.skip(reason)
    out = tmp_path_factory.mktemp("export")
    exported = product.export(out, shared=request.param == "one for all")
    code = evm_machine.compiled(exported.contract)
    deployed = Deployed.of(bytes.fromhex(code["evm"]["bytecode"]["object"]))
    key, digest = None, None
    if exported.register is not None:
        register = call_of(exported.register)
        key = [register[at : at + 32] for at in range(68, len(register), 32)]
        digest, _ = deployed.call(register)
    return OnChain(code, deployed, key, digest, exported.insecure, call_of(exported.verify))


@pytest.fixture
def reverts(chain: OnChain) -> Callable[[bytes], None]:
    def judge(call: bytes) -> None:
        returned, _ = chain.deployed.call(call)
        assert returned is None

    return judge


def test_ezkl_itself_verifies_a_proof_with_a_generated_srs(product: Product) -> None:
    ezkl = pytest.importorskip("ezkl")
    names = ("proof.json", "settings.json", "vk.key", "test.srs")
    assert ezkl.verify(*(str(product.folder / name) for name in names))


def test_the_contract_accepts_the_proof(chain: OnChain) -> None:
    returned, gas = chain.deployed.call(chain.verify)
    assert returned is not None and returned[:32] == TRUE and chain.insecure
    assert gas < 1_000_000 and chain.deployed.deployment_gas < 10_000_000
    if chain.digest is not None:
        assert len(chain.digest) == 32 and returned[32:64] == chain.digest


def test_the_contract_is_small_enough_for_a_chain(chain: OnChain) -> None:
    assert len(chain.code["evm"]["deployedBytecode"]["object"]) // 2 <= MAX_CODE_BYTES
    (verify,) = (entry for entry in chain.code["abi"] if entry.get("name") == "verifyProof")
    types = ["bytes", "uint256[]", *(["bytes32[]"] if chain.key else [])]
    assert [part["type"] for part in verify["inputs"]] == types


def test_the_call_is_that_of_ezkl(product: Product, tmp_path: Path) -> None:
    """Which appends a word of zeros."""
    ezkl = pytest.importorskip("ezkl")
    theirs = tmp_path / "calldata"
    ezkl.encode_evm_calldata(str(product.folder / "proof.json"), str(theirs))
    assert theirs.read_bytes() == verify_call(product.proof, product.instances) + bytes(32)


def test_the_call_with_a_key_is_that_of_ezkl(product: Product, tmp_path: Path) -> None:
    ezkl = pytest.importorskip("ezkl")
    key, theirs = tmp_path / "key", tmp_path / "calldata"
    key.write_bytes((2).to_bytes(8, "little") + b"k" * 64)
    ezkl.encode_evm_calldata(str(product.folder / "proof.json"), str(theirs), str(key))
    assert theirs.read_bytes() == verify_call(product.proof, product.instances, [b"k" * 32] * 2)


@pytest.mark.parametrize("place", [0, 40, 1000, -33, -1])
def test_a_flipped_bit_of_the_proof(
    product: Product, chain: OnChain, reverts: Callable[[bytes], None], place: int
) -> None:
    proof = bytearray(product.proof)
    proof[place] ^= 1
    reverts(verify_call(proof, product.instances, chain.key))


@pytest.mark.parametrize("place", [0, 5, 8])
def test_another_instance(
    product: Product, chain: OnChain, reverts: Callable[[bytes], None], place: int
) -> None:
    instances = list(product.instances)
    instances[place] = (instances[place] + 1) % R
    reverts(verify_call(product.proof, instances, chain.key))


def test_the_same_instance_by_another_number(
    product: Product, chain: OnChain, reverts: Callable[[bytes], None]
) -> None:
    first = product.instances[0]
    with pytest.raises(MalformedProof, match="not below r"):
        verify_call(product.proof, [first + R, *product.instances[1:]])
    words = [value.to_bytes(32, "big") for value in (len(product.instances), first)]
    spoilt = words[0] + (first + R).to_bytes(32, "big")
    assert chain.verify.count(b"".join(words)) == 1
    reverts(chain.verify.replace(b"".join(words), spoilt))


def test_a_key_that_was_not_registered(
    product: Product, chain: OnChain, reverts: Callable[[bytes], None]
) -> None:
    if chain.key is None:
        pytest.skip("the contract holds its key")
    other = [*chain.key[:-1], bytes(32)]
    reverts(verify_call(product.proof, product.instances, other))


def test_the_key_of_another_circuit(
    product: Product, chain: OnChain, reverts: Callable[[bytes], None]
) -> None:
    """Anybody may register it, and its digest is another."""
    if chain.key is None:
        pytest.skip("the contract holds its key")
    other = [*chain.key]
    other[0] = bytes(31) + b"\1"
    digest, _ = chain.deployed.call(register_call(other))
    assert digest is not None and digest != chain.digest
    reverts(verify_call(product.proof, product.instances, other))


def test_a_missing_instance(
    product: Product, chain: OnChain, reverts: Callable[[bytes], None]
) -> None:
    reverts(verify_call(product.proof, product.instances[:-1], chain.key))


def test_a_proof_cut_short(
    product: Product, chain: OnChain, reverts: Callable[[bytes], None]
) -> None:
    reverts(verify_call(product.proof[:-32], product.instances, chain.key))


def test_a_word_after_a_proof(product: Product, chain: OnChain) -> None:
    """The contract for all keys does not look where a proof ends, and docs/evm.md says so."""
    returned, _ = chain.deployed.call(
        verify_call(product.proof + bytes(32), product.instances, chain.key)
    )
    assert (returned is None) if chain.key is None else (returned or b"")[:32] == TRUE


def test_a_proof_handed_in_again(chain: OnChain) -> None:
    """Nothing in it is about who hands it in, or when: that is for the caller to keep."""
    answers = {chain.deployed.call(chain.verify)[0] for _ in range(2)}
    assert len(answers) == 1 and (answers.pop() or b"")[:32] == TRUE


def test_an_srs_that_is_not_checked(
    product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="is not checked; run: zktrain ezkl srs check"):
        product.export(tmp_path)


def test_a_crash_after_the_contract_is_written(
    product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ezkl's threads cause now and then."""
    whole = product.export(tmp_path / "whole").contract.read_bytes()
    monkeypatch.setattr(evm, "CALL_EZKL", evm.CALL_EZKL + "import os\nos.abort()\n")
    assert product.export(tmp_path / "crashed").contract.read_bytes() == whole


def test_a_crash_before_the_contract_is_written(
    product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evm, "CALL_EZKL", "import os\nos.abort()\n")
    with pytest.raises(InputError, match="ezkl cannot write the contract"):
        product.export(tmp_path)


def test_settings_of_something_else(product: Product, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ezkl cannot write the contract"):
        product.export(tmp_path, settings=product.folder / "vk.key")
    assert not list(tmp_path.iterdir())


def test_a_missing_verifying_key(product: Product, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no file"):
        product.export(tmp_path, vk=tmp_path / "vk.key")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"hex_proof": 1, "instances": []}',
        '{"hex_proof": "0x1", "instances": []}',
        '{"hex_proof": "0x", "instances": [["00"]]}',
        '{"hex_proof": "0x", "instances": [[0]]}',
        "[" * 100_000,
    ],
    ids=range(8),
)
def test_a_file_that_is_no_proof(text: str, tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    path.write_text(text)
    with pytest.raises(MalformedProof):
        read_proof(path)
