"""What Ctrl-C says is what is there."""

from __future__ import annotations

from pathlib import Path

from zktrain import disk
from zktrain.cli import stopped


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


def test_prove(tmp_path: Path) -> None:
    assert "no segment was finished" in stopped.prove(tmp_path)
    (tmp_path / "segments").mkdir()
    for number in range(2):
        (tmp_path / "segments" / f"segment-{number:05d}.bin").write_bytes(b"")
    assert stopped.prove(tmp_path).startswith("2 proved segments are kept in")


def test_prove_eval(tmp_path: Path) -> None:
    out, dataset = tmp_path / "eval.zkt", tmp_path / "test.zkd"
    assert stopped.prove_eval(out, None) == stopped.prove_eval(out, dataset)
    assert stopped.prove_eval(out, dataset) == "no proof was written"
    dataset.write_bytes(b"")
    assert "test.zkd is kept, and the same command goes on with it" in stopped.prove_eval(
        out, dataset
    )

    def stop(digest: str) -> None:
        raise KeyboardInterrupt

    try:
        disk.publish(out, b"proof", stop)
    except KeyboardInterrupt:
        assert "the proof is made; the same command writes it" in stopped.prove_eval(out, dataset)
