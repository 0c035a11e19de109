"""``prove-eval``, ``verify-eval`` and ``inspect`` of what they make: JSON, exit codes, texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_run import TinyBundle, write_data

from zktrain.cli import judge, main
from zktrain.cli.entry import run

FIELDS = {
    "accepted", "error", "accuracy", "correct", "records", "confusion", "weights_digest",
    "dataset_root", "statement", "security_bits", "zero_knowledge", "seconds", "proof_bytes",
}  # fmt: skip


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return int(exit_.value.code or 0), captured.out, captured.err


@pytest.fixture(scope="module")
def files(tiny_bundle: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data, commitment and proof of a test set, made by the command."""
    folder = tmp_path_factory.mktemp("commands")
    paths = {name: folder / name for name in ("test.npz", "test.zkd", "eval.zkt")}
    write_data(paths["test.npz"], seed=9, records=10)
    with pytest.raises(SystemExit) as exit_:
        run([str(a) for a in prove_arguments(tiny_bundle, paths)])
    assert not exit_.value.code
    return paths


def prove_arguments(tiny: TinyBundle, paths: dict[str, Path]) -> list[object]:
    return [
        "prove-eval", tiny.weights, "--circuit", tiny.circuit, "--data", paths["test.npz"],
        "--dataset-out", paths["test.zkd"], "--out", paths["eval.zkt"],
    ]  # fmt: skip


def verify_arguments(tiny: TinyBundle, files: dict[str, Path], **changes: object) -> list[object]:
    given = {"weights": tiny.weights, "proof": files["eval.zkt"], "dataset": files["test.zkd"]}
    given |= changes
    return [
        "verify-eval", given["weights"], "--proof", given["proof"], "--dataset", given["dataset"],
    ]  # fmt: skip


def test_prove_eval_says_what_it_did(
    capsys: pytest.CaptureFixture[str],
    tiny_bundle: TinyBundle,
    files: dict[str, Path],
    tmp_path: Path,
) -> None:
    arguments = [
        "prove-eval", tiny_bundle.weights, "--circuit", tiny_bundle.circuit,
        "--data", files["test.npz"], "--dataset", files["test.zkd"], "--no-zk",
        "--out", tmp_path / "eval.zkt",
    ]  # fmt: skip
    code, out, _ = call(capsys, *arguments, "--json")
    found = json.loads(out)
    assert code == 0 and found["zero_knowledge"] is False
    assert found["records"] == 10 and sum(map(sum, found["confusion"])) == 10
    assert found["accuracy"] == found["correct"] / 10
    assert found["path"] == str(tmp_path / "eval.zkt") and found["dataset"] is None
    assert found["proof_bytes"] == (tmp_path / "eval.zkt").stat().st_size
    code, out, _ = call(capsys, *arguments)
    assert code == 0 and "of 10 records" in out and "Next: zktrain verify-eval" in out


def test_verify_eval_accepts(
    capsys: pytest.CaptureFixture[str], tiny_bundle: TinyBundle, files: dict[str, Path]
) -> None:
    arguments = [*verify_arguments(tiny_bundle, files), "--circuit", tiny_bundle.circuit]
    code, out, _ = call(capsys, *arguments)
    assert code == 0 and out.startswith("ACCEPTED") and "Confusion" in out and "root" in out
    code, out, _ = call(capsys, *arguments, "--json")
    found = json.loads(out)
    assert code == 0 and found["accepted"] is True and set(found) >= FIELDS
    assert found["warnings"] == []
    assert found["statement"]["weights_digest"] == found["weights_digest"]
    assert found["statement"]["dataset"]["root"] == found["dataset_root"]


def test_verify_eval_rejects_and_cannot_judge(
    capsys: pytest.CaptureFixture[str], tiny_bundle: TinyBundle, files: dict[str, Path]
) -> None:
    other: dict[str, object] = {"proof": tiny_bundle.proof, "dataset": tiny_bundle.dataset}
    cases: tuple[tuple[dict[str, object], int, str, str], ...] = (
        ({"dataset": "00" * 32}, 1, "StatementMismatch", "REJECTED"),
        (other, 1, "MalformedProof", "REJECTED"),
        ({"weights": tiny_bundle.circuit}, 2, "InputError", "NOT JUDGED"),
        ({"proof": tiny_bundle.folder / "none.zkt"}, 2, "InputError", "NOT JUDGED"),
        ({"dataset": "nonsense"}, 2, "InputError", "NOT JUDGED"),
    )
    for changes, wanted, kind, text in cases:
        arguments = verify_arguments(tiny_bundle, files, **changes)
        code, out, err = call(capsys, *arguments)
        assert code == wanted and text in out + err
        code, out, _ = call(capsys, *arguments, "--json")
        found = json.loads(out)
        assert code == wanted and set(found) == FIELDS
        assert found["accepted"] is False and found["error"]["kind"] == kind
        assert found["accuracy"] is None and found["confusion"] is None
    code, out, _ = call(capsys, "verify-eval", "--json")
    assert code == 2 and set(json.loads(out)) == FIELDS


def test_the_plain_form_and_the_parser_agree(
    capsys: pytest.CaptureFixture[str], tiny_bundle: TinyBundle, files: dict[str, Path]
) -> None:
    arguments = [str(a) for a in verify_arguments(tiny_bundle, files)] + ["--json"]
    asked = judge.plain(arguments)
    assert asked is not None and asked["as_json"] is True and asked["min_security_bits"] == 100
    assert asked["proof"] == files["eval.zkt"]
    _, plain, _ = call(capsys, *arguments)
    with pytest.raises(SystemExit):
        main.run(arguments)
    parsed = capsys.readouterr().out
    one, other = ({**json.loads(text), "seconds": 0} for text in (plain, parsed))
    assert one == other
    for odd in (
        ["prove-eval", *arguments[1:]],
        [*arguments, "--help"],
        [*arguments, "--initial", "x"],
        [*arguments, "--proof", "again"],
        arguments[:2],
    ):
        assert judge.plain(odd) is None


def test_commands_of_the_other_kind_say_so(
    capsys: pytest.CaptureFixture[str], tiny_bundle: TinyBundle, files: dict[str, Path]
) -> None:
    arguments = verify_arguments(tiny_bundle, files)
    code, out, _ = call(capsys, "verify", *arguments[1:])
    assert code == 1 and "verify-eval" in out
    other = {"proof": tiny_bundle.proof, "dataset": tiny_bundle.dataset}
    code, out, _ = call(capsys, *verify_arguments(tiny_bundle, files, **other))
    assert code == 1 and "use zktrain verify " in " ".join(out.split())


def test_inspect_knows_proofs_of_evaluations(
    capsys: pytest.CaptureFixture[str], files: dict[str, Path]
) -> None:
    code, out, _ = call(capsys, "inspect", files["eval.zkt"])
    assert code == 0 and "nothing is verified" in out and "counts" in out and "Confusion" in out
    code, out, _ = call(capsys, "inspect", files["eval.zkt"], "--json")
    found = json.loads(out)
    assert code == 0 and found["verified"] is False and found["union_bits"] >= 100
    assert found["proof_bytes"] == files["eval.zkt"].stat().st_size
    assert {term["name"] for term in found["soundness"]} >= {"counts", "maps of units"}


def test_errors_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
    tiny_bundle: TinyBundle,
    files: dict[str, Path],
    tmp_path: Path,
) -> None:
    other = write_data(tmp_path / "other.npz", seed=8, records=10)
    changes = {"eval.zkt": tmp_path / "x.zkt", "test.npz": other}
    arguments = prove_arguments(tiny_bundle, {**files, **changes})
    code, out, err = call(capsys, *arguments, "--json")
    assert code == 2 and "earlier commitment" in err and json.loads(out)["error"]
    bare = [a for a in arguments if a not in ("--dataset-out", files["test.zkd"])]
    code, _, err = call(capsys, *bare)
    assert code == 2 and "--dataset-out" in err and err.count("\n") == 1
    assert not (tmp_path / "x.zkt").exists()


def test_large_matrices_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    from zktrain.cli import evaluation_view, screens

    rows: Any = tuple(tuple(0 for _ in range(21)) for _ in range(21))
    evaluation_view.show_matrix(screens.console(), rows)
    assert "21 by 21; --json" in capsys.readouterr().out
