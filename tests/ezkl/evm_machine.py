"""A local machine for contracts: the Solidity compiler of npm, and revm.

Tests that need them are skipped where they are missing: ``npm install solc@0.8.20`` in some folder
whose ``node_modules`` is named by ``NODE_PATH``, and ``pip install pyrevm``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

COMPILE = """
const fs = require("fs"), solc = require("solc");
process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")));
"""
GAS_LIMIT = 30_000_000
SENDER = "0x" + "11" * 20


def missing_compiler() -> str | None:
    """Why nothing can be compiled."""
    if shutil.which("node") is None:
        return "node is not installed"
    found = subprocess.run(["node", "-e", 'require("solc")'], capture_output=True, check=False)
    return "npm's solc is not in NODE_PATH" if found.returncode else None


def compiled(source: Path) -> dict[str, Any]:
    """What the compiler says of the one contract in a file."""
    asked = {
        "language": "Solidity",
        "sources": {source.name: {"content": source.read_text()}},
        "settings": {
            "optimizer": {"enabled": True, "runs": 1},
            "outputSelection": {
                "*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]}
            },
        },
    }
    done = subprocess.run(
        ["node", "-e", COMPILE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    (contract,) = json.loads(done.stdout)["contracts"][source.name].values()
    assert isinstance(contract, dict)
    return contract


@dataclass
class Deployed:
    """A contract on a chain of its own."""

    machine: Any
    address: str
    deployment_gas: int

    @classmethod
    def of(cls, code: bytes) -> Deployed:
        pyrevm = pytest.importorskip("pyrevm")
        machine = pyrevm.EVM(gas_limit=GAS_LIMIT)
        machine.set_balance(SENDER, 10**20)
        address = machine.deploy(SENDER, code)
        return cls(machine, address, machine.result.gas_used)

    def call(self, data: bytes) -> tuple[bytes | None, int]:
        """What a call returns, None if it reverts, and the gas it takes."""
        try:
            returned = bytes(self.machine.message_call(SENDER, self.address, calldata=data))
        except RuntimeError as error:
            if "Revert" not in str(error):
                raise
            returned = None
        return returned, self.machine.result.gas_used
