"""The contract of a step's keys accepts its proof, and nothing else."""

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
from zktrain.ezkl.evm import MAX_CODE_BYTES, SCALARS, Exported, calldata, export, read_proof
from zktrain.srs import generate

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


@pytest.fixture(scope="module")
def contract(product: Product, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    reason = evm_machine.missing_compiler()
    if reason is not None:
        pytest.skip(reason)
    return evm_machine.compiled(product.export(tmp_path_factory.mktemp("export")).contract)


@pytest.fixture(scope="module")
def deployed(contract: dict[str, Any]) -> Deployed:
    return Deployed.of(bytes.fromhex(contract["evm"]["bytecode"]["object"]))


@pytest.fixture
def reverts(deployed: Deployed) -> Callable[[bytes], None]:
    def judge(call: bytes) -> None:
        returned, _ = deployed.call(call)
        assert returned is None

    return judge


def test_ezkl_itself_verifies_a_proof_with_a_generated_srs(product: Product) -> None:
    ezkl = pytest.importorskip("ezkl")
    names = ("proof.json", "settings.json", "vk.key", "test.srs")
    assert ezkl.verify(*(str(product.folder / name) for name in names))


def test_the_contract_accepts_the_proof(
    deployed: Deployed, product: Product, tmp_path: Path
) -> None:
    exported = product.export(tmp_path)
    assert exported.insecure
    call = bytes.fromhex(exported.call.read_text().strip().removeprefix("0x"))
    returned, gas = deployed.call(call)
    assert returned == TRUE
    assert gas < 1_000_000 and deployed.deployment_gas < 10_000_000


def test_the_contract_is_small_enough_for_a_chain(contract: dict[str, Any]) -> None:
    assert len(contract["evm"]["deployedBytecode"]["object"]) // 2 <= MAX_CODE_BYTES
    (function,) = contract["abi"]
    assert [part["type"] for part in function["inputs"]] == ["bytes", "uint256[]"]


def test_the_call_is_that_of_ezkl(product: Product, tmp_path: Path) -> None:
    """Which appends a word of zeros."""
    ezkl = pytest.importorskip("ezkl")
    theirs = tmp_path / "calldata"
    ezkl.encode_evm_calldata(str(product.folder / "proof.json"), str(theirs))
    assert theirs.read_bytes() == calldata(product.proof, product.instances) + bytes(32)


@pytest.mark.parametrize("place", [0, 40, 1000, -33, -1])
def test_a_flipped_bit_of_the_proof(
    product: Product, reverts: Callable[[bytes], None], place: int
) -> None:
    proof = bytearray(product.proof)
    proof[place] ^= 1
    reverts(calldata(proof, product.instances))


@pytest.mark.parametrize("place", [0, 5, 8])
def test_another_instance(product: Product, reverts: Callable[[bytes], None], place: int) -> None:
    instances = list(product.instances)
    instances[place] = (instances[place] + 1) % SCALARS
    reverts(calldata(product.proof, instances))


def test_the_same_instance_by_another_number(
    product: Product, reverts: Callable[[bytes], None]
) -> None:
    with pytest.raises(MalformedProof, match="not below r"):
        calldata(product.proof, [product.instances[0] + SCALARS, *product.instances[1:]])
    call = calldata(product.proof, product.instances)
    first = product.instances[0].to_bytes(32, "big")
    at = len(call) - 32 * len(product.instances)
    assert call[at : at + 32] == first
    reverts(call[:at] + (product.instances[0] + SCALARS).to_bytes(32, "big") + call[at + 32 :])


def test_a_missing_instance(product: Product, reverts: Callable[[bytes], None]) -> None:
    reverts(calldata(product.proof, product.instances[:-1]))


def test_a_proof_cut_short(product: Product, reverts: Callable[[bytes], None]) -> None:
    reverts(calldata(product.proof[:-32], product.instances))


def test_an_srs_that_is_not_checked(product: Product, tmp_path: Path) -> None:
    srs = tmp_path / "other.srs"
    srs.write_bytes((product.folder / "test.srs").read_bytes())
    with pytest.raises(InputError, match="is not checked; run: zktrain srs check"):
        product.export(tmp_path, srs=srs)


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
