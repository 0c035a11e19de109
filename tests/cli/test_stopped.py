"""What Ctrl-C says is what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from zktrain import disk
from zktrain.cli import stopped


def _leave_waiting(path: Path) -> None:
    """A proof that has no name yet."""

    def stop(digest: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        disk.publish(path, b"proof", stop)


def test_commit(tmp_path: Path) -> None:
    out = tmp_path / "x.zkd"
    assert stopped.commit(None) == stopped.commit(out) == "nothing was written"
    Path(f"{out}.secret").write_bytes(b"")
    assert "x.zkd is not yet; the same command completes them" in stopped.commit(out)
    out.write_bytes(b"")
    assert "x.zkd is whole" in stopped.commit(out)


def test_train(tmp_path: Path) -> None:
    assert "nothing was trained" in stopped.train(tmp_path / "run")
    (tmp_path / "run.json").write_text('{"results": null}')
    assert "an unfinished run; the same command begins it again" in stopped.train(tmp_path)
    (tmp_path / "run.json").write_text('{"results": {}}')
    assert stopped.train(tmp_path) == f"{tmp_path} holds a finished run"


@pytest.mark.parametrize("out", [None, "other.zkt"])
def test_prove(tmp_path: Path, out: str | None) -> None:
    given = None if out is None else tmp_path / out
    proof = given or tmp_path / "proof.zkt"
    again = "no proof was written; the same command begins again"
    assert stopped.prove(tmp_path, given) == again
    disk.journal_of(proof).write_bytes(b"")
    assert stopped.prove(tmp_path, given).endswith("is kept, and the same command goes on with it")
    assert stopped.prove(tmp_path, tmp_path / "third.zkt") == again
    _leave_waiting(proof)
    assert "it is made, and the same command writes it" in stopped.prove(tmp_path, given)


def test_prove_eval(tmp_path: Path) -> None:
    out, dataset = tmp_path / "eval.zkt", tmp_path / "test.zkd"
    assert stopped.prove_eval(out, None) == stopped.prove_eval(out, dataset)
    assert stopped.prove_eval(out, dataset) == "no proof was written"
    dataset.write_bytes(b"")
    assert "test.zkd is kept, and the same command goes on with it" in stopped.prove_eval(
        out, dataset
    )
    _leave_waiting(out)
    assert "it is made, and the same command writes it" in stopped.prove_eval(out, dataset)
