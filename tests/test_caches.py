"""What others could have written is not read: owners, modes, links, and folders above."""

from __future__ import annotations

import os
import stat
import warnings
from pathlib import Path

import pytest

from zktrain.caches import own_folder, weakness
from zktrain.notices import Notice

OTHER_USER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "above" / "cache"
    path.mkdir(parents=True)
    for at in (path, path.parent):
        at.chmod(0o700)
    return path


def test_a_folder_of_ones_own(folder: Path) -> None:
    assert weakness(folder) is None
    (folder / "file").write_text("")
    (folder / "file").chmod(0o644)
    assert weakness(folder / "file") is None
    assert weakness(folder / "missing" / "deeper") is None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_folder_that_others_can_write(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert f"{folder} can be written by other users (mode {mode:o})" == weakness(folder)


def test_a_file_that_others_can_write(folder: Path) -> None:
    (folder / "file").write_text("")
    (folder / "file").chmod(0o664)
    assert "can be written" in (weakness(folder / "file") or "")


def test_a_folder_above_that_others_can_write(folder: Path) -> None:
    folder.parent.chmod(0o777)
    assert f"{folder.parent} can be written" in (weakness(folder) or "")
    folder.parent.chmod(0o1777)  # nobody else can rename what is in it
    assert weakness(folder) is None


def test_a_shared_folder_must_be_sticky(folder: Path) -> None:
    folder.chmod(0o1777)
    assert weakness(folder, shared=True) is None
    folder.chmod(0o777)
    assert weakness(folder, shared=True) is not None


def test_links(folder: Path) -> None:
    """Those on the way are followed, and what they lead to is looked at; the end is none."""
    link = folder.parent / "link"
    link.symlink_to(folder, target_is_directory=True)
    (folder / "inner").mkdir(mode=0o700)
    assert weakness(link / "inner") is None
    assert weakness(link) == f"{link} is a symbolic link"
    folder.chmod(0o777)
    assert "can be written" in (weakness(link / "inner") or "")
    round_about = folder.parent / "round"
    round_about.symlink_to("round")
    assert "symbolic link" in (weakness(round_about / "inner") or "")


@as_root
def test_what_belongs_to_another_user(folder: Path) -> None:
    os.chown(folder, OTHER_USER, 0)
    assert weakness(folder) == f"{folder} belongs to another user"
    assert weakness(folder / "file") == f"{folder} belongs to another user"


@as_root
def test_a_link_of_another_user(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder, target_is_directory=True)
    os.lchown(link, OTHER_USER, 0)
    assert weakness(link / "file") == f"{link} belongs to another user"


def test_a_new_cache_is_private_whatever_the_umask(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "xdg"))
    before = os.umask(0)
    try:
        made = own_folder("ezkl")
    finally:
        os.umask(before)
    assert made == folder / "xdg" / "zktrain" / "ezkl"
    for at in (made, made.parent, made.parent.parent):
        assert stat.S_IMODE(at.stat().st_mode) == 0o700


@pytest.mark.parametrize("weak", ["xdg", "xdg/zktrain", "xdg/zktrain/ezkl"])
def test_a_cache_that_others_can_write_is_not_used_and_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, weak: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "xdg"))
    assert own_folder("ezkl") is not None
    (folder / weak).chmod(0o777)
    with pytest.warns(Notice, match=r"cache of ezkl is not used.*mode 777.*XDG_CACHE_HOME"):
        assert own_folder("ezkl") is None


def test_no_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.warns(Notice, match="Could not determine home directory"):
        assert own_folder("ezkl") is None


def test_a_relative_cache_is_the_one_in_the_home_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(folder))
    assert own_folder("ezkl") == folder / ".cache" / "zktrain" / "ezkl"


def test_a_file_in_the_place_of_a_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    (folder / "zktrain").write_text("")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        assert own_folder("ezkl") is None
