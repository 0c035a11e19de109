"""Secrets are counted once, whatever leads to them; nobody else reads what is private; nothing is
overwritten that is not meant."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import prepare
from disk import State, state_of

import zktrain
from zktrain.dataset.public_file import read_public
from zktrain.errors import InputError
from zktrain.locks import claimed, locked
from zktrain.prover.dataset import secret_file


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State]:
    root = tmp_path_factory.mktemp("secrets")
    before = os.umask(0)
    prepare(root)
    os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    state = state_of(root)
    MODES.update({str(path.relative_to(root)): mode for path, mode in modes.items()})
    return root, state


MODES: dict[str, int] = {}


@pytest.fixture
def root(start: tuple[Path, State]) -> Iterator[Path]:
    folder, state = start
    state.write(folder)
    yield folder
    for entry in folder.iterdir():
        if entry.is_symlink():
            entry.unlink()


def test_private_files_are_for_their_owner(root: Path) -> None:
    """They were made with a umask of 0."""
    private = ["data.zkd.secret", "run/run.json", "run/dataset-inputs.npy"]
    private += ["run/dataset-labels.npy", *(f"run/boundary-{step:08d}.npz" for step in (0, 2))]
    assert {MODES[name] for name in private} == {0o600} and MODES["run"] == 0o700


def test_the_description_of_a_run_has_no_plain_digest_of_the_records(root: Path) -> None:
    digest = secret_file.read(root / "data.zkd.secret").records
    assert len(digest) == 64
    assert digest not in (root / "run" / "run.json").read_text()


def test_links_to_a_secret_share_its_counters(root: Path) -> None:
    """A run that knows the secret by a symbolic link counts in the file."""
    other = root / "elsewhere"
    other.mkdir()
    for name in ("data.zkd", "data.zkd.secret"):
        (other / name).symlink_to(root / name)
    again = root / "again"
    zktrain.train(root / "tiny.toml", data=root / "data.npz", out=again, dataset=other / "data.zkd")
    before = secret_file.read(root / "data.zkd.secret")
    secret = other / "data.zkd.secret"
    zktrain.prove(again)
    header = read_public(root / "data.zkd")[0]
    secret_file.spend(secret, header, "ab" * 32, 1)
    after = secret_file.read(root / "data.zkd.secret")
    assert secret.is_symlink() and after == secret_file.read(secret)
    assert len(after.opened) == len(before.opened) + 2
    assert after.positions > before.positions + 1


def test_a_link_to_the_public_file_alone_leads_to_the_secret(root: Path) -> None:
    link = root / "link.zkd"
    link.symlink_to(root / "data.zkd")
    assert secret_file.secret_path(link).samefile(root / "data.zkd.secret")
    shutil.copy(root / "data.zkd.secret", root / "link.zkd.secret")
    with pytest.raises(InputError, match="two secret files"):
        secret_file.owned(link)


def test_a_secret_with_hard_links_is_refused(root: Path) -> None:
    os.link(root / "data.zkd.secret", root / "fork")
    with pytest.raises(InputError, match=r"2 names \(hard links\)"):
        zktrain.prove(root / "run")
    with pytest.raises(InputError, match=r"2 names \(hard links\)"):
        zktrain.commit(root / "data.npz", check=root / "data.zkd")


def test_two_counters_at_once_lose_nothing(root: Path) -> None:
    """Four processes count 8 openings each in one file, through two links."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom zktrain.prover.dataset import secret_file\n"
        "from zktrain.dataset.public_file import read_public\n"
        "header = read_public(sys.argv[2])[0]\n"
        "for number in range(8):\n"
        "    mark = f'{sys.argv[3]}{number}' * 32\n"
        "    secret_file.spend(Path(sys.argv[1]), header, mark, 1)\n"
    )
    link = root / "link.secret"
    link.symlink_to(root / "data.zkd.secret")
    before = secret_file.read(link)
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                code,
                str((link, root / "data.zkd.secret")[number % 2]),
                str(root / "data.zkd"),
                str(number),
            ]
        )
        for number in range(4)
    ]
    assert [process.wait() for process in running] == [0] * 4
    after = secret_file.read(link)
    assert after.positions == before.positions + 32 and link.is_symlink()
    assert len(after.opened) == len(before.opened) + 32


def test_a_commitment_that_hides_is_not_overwritten(root: Path) -> None:
    before = (root / "data.zkd").read_bytes()
    with pytest.raises(InputError, match="hides its records"):
        zktrain.commit(root / "data.npz", out=root / "data.zkd", public=True)
    with pytest.raises(InputError, match="earlier commitment"):
        zktrain.commit(root / "test.npz", out=root / "data.zkd")
    (root / "data.zkd.secret").rename(root / "safe")
    with pytest.raises(InputError, match="its secret file is not beside it"):
        zktrain.commit(root / "data.npz", out=root / "data.zkd")
    assert (root / "data.zkd").read_bytes() == before


def test_data_are_not_overwritten(root: Path) -> None:
    before = (root / "data.npz").read_bytes()
    with pytest.raises(InputError, match="exists and is no dataset file"):
        zktrain.commit(root / "data.npz", out=root / "data.npz")
    with pytest.raises(InputError, match="exists and is no proof"):
        zktrain.prove(root / "run", out=root / "data.npz")
    with pytest.raises(InputError, match="exists and is no circuit"):
        zktrain.compile(root / "tiny.toml", out=root / "tiny.toml")
    assert (root / "data.npz").read_bytes() == before


def test_two_commands_at_once(root: Path) -> None:
    """The second says that it cannot work now."""
    data, recipe, run = root / "data.npz", root / "tiny.toml", root / "run"
    with claimed(root / "new.zkd", busy=""), pytest.raises(InputError, match="another process"):
        zktrain.commit(data, out=root / "new.zkd")
    with locked(run):
        for attempt in (
            lambda: zktrain.train(recipe, data=data, out=run, dataset=root / "data.zkd"),
            lambda: zktrain.prove(run),
        ):
            with pytest.raises(InputError, match="another process"):
                attempt()


def test_a_finished_training_is_kept(root: Path) -> None:
    """The same command gives the same result; another one is refused."""
    given = {"data": root / "data.npz", "out": root / "run"}
    run = (root / "run" / "run.json").read_bytes()
    again = zktrain.train(root / "tiny.toml", dataset=root / "data.zkd", **given)
    assert again.kept and again.losses and again.weights.is_file()
    assert (root / "run" / "run.json").read_bytes() == run
    with pytest.raises(InputError, match="not an interrupted run"):
        zktrain.train(root / "tiny.toml", **given)  # with a commitment of its own
    text = (root / "tiny.toml").read_text()
    (root / "tiny.toml").write_text(text.replace("0.125", "0.25"))
    with pytest.raises(InputError, match="not an interrupted run"):
        zktrain.train(root / "tiny.toml", dataset=root / "data.zkd", **given)


def test_a_commitment_of_its_own_is_said(root: Path) -> None:
    found = zktrain.train(root / "tiny.toml", data=root / "data.npz", out=root / "own")
    assert any("own/dataset.zkd" in text for text in found.warnings)
    with pytest.raises(InputError, match="neither a dataset root"):
        zktrain.train(
            root / "tiny.toml", data=root / "data.npz", out=root / "x", dataset=root / "no.zkd"
        )
    zktrain.prove(root / "own")
    with pytest.raises(zktrain.errors.StatementMismatch, match="without --dataset"):
        zktrain.verify(found.weights, proof=root / "own" / "proof.zkt", dataset=root / "data.zkd")
    zktrain.verify(
        found.weights, proof=root / "own" / "proof.zkt", dataset=root / "own" / "dataset.zkd"
    )
