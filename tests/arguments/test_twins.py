"""Every operation has a prover in a file of the same name, with the same messages."""

from __future__ import annotations

import inspect
import re
from types import ModuleType
from typing import Any, get_type_hints

import pytest

from zktrain.operations import OPERATIONS, Operation
from zktrain.prover.operations import TWINS

MESSAGE = re.compile(r"\b(?:receive|send)(?:_clear)?\(f\"\{(?:self|op)\.label\}/(\w+)\"")


def test_every_operation_has_a_prover() -> None:
    """Its ``op`` is of the class in the file of the same name."""
    assert list(TWINS) == list(OPERATIONS) and len(set(OPERATIONS)) == len(OPERATIONS)
    for kind, twin in TWINS.items():
        assert isinstance(twin, ModuleType)
        assert twin.__name__.rpartition(".")[2] == kind.__module__.rpartition(".")[2]
        hints = get_type_hints(twin.prove)
        assert hints["op"] is kind


@pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.__name__)
def test_prover_and_verifier_name_the_same_messages(kind: type[Operation]) -> None:
    own: Any = TWINS[kind]
    sent = MESSAGE.findall(inspect.getsource(own))
    assert sent == MESSAGE.findall(inspect.getsource(kind))
