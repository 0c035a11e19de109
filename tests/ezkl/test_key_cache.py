"""Kept keys: planted, broken and shared entries of the cache."""

from __future__ import annotations

import json
import os
import shutil
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from iris_run import Foreign, IrisProof

from zktrain import StatementMismatch
from zktrain.ezkl import keys
from zktrain.ezkl.keys import Keys
from zktrain.ezkl.native import Native
from zktrain.ezkl.reference import Srs, open_srs
from zktrain.locks import claimed
from zktrain.notices import Notice

pytestmark = pytest.mark.slow("proofs by ezkl take half a minute")

OTHER_USER = 12345


@dataclass
class Cache:
    """A copy of the honest cache, with the one entry that the honest bundle takes."""

    iris: IrisProof
    folder: Path
    name: str
    srs: Srs

    @property
    def entry(self) -> Path:
        return self.folder / self.name

    def kept(self, *, proving: bool = False, srs: Srs | None = None) -> Keys | None:
        with Native() as native:
            return keys._kept(self.entry, self.name, srs or self.srs, native, proving=proving)

    def derived(self, *, proving: bool = False) -> tuple[Keys, bytes]:
        statement = self.iris.bundle.statement
        with Native() as native:
            found = keys.derive(
                statement.circuit, statement.parameters, self.srs, native, proving=proving
            )
            return found, found.verifying.read_bytes()

    def describe(self, **changes: Any) -> None:
        path = self.entry / "keys.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def plant(self, foreign: Foreign) -> None:
        """The keys of another step function, under the honest name, with all digests right."""
        (entry,) = (path for path in foreign.cache.iterdir() if path.is_dir())
        shutil.rmtree(self.entry)
        shutil.copytree(entry, self.entry)
        contents = [(self.entry / part).read_bytes() for part, _, _ in keys._PARTS]
        self.describe(digest=keys._digest(self.name, self.srs, contents))


def _copied(source: str | Path, target: str | Path) -> None:
    """The large file of an entry, which no test changes, is not copied."""
    (os.link if Path(source).name == "proving.key" else shutil.copy)(source, target)


@pytest.fixture
def cache(
    iris: IrisProof, ezkl_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Cache:
    statement = iris.bundle.statement
    srs = open_srs(iris.srs, unchecked=False)
    name = keys._name(statement.circuit, statement.parameters, srs)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    iris.remember()
    folder = tmp_path / "xdg" / "zktrain" / "ezkl"
    honest = ezkl_cache / "zktrain" / "ezkl" / name
    folder.mkdir(mode=0o700)
    shutil.copytree(honest, folder / name, copy_function=_copied)
    return Cache(iris, folder, name, srs)


@pytest.fixture
def remade(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Making keys gives those of the honest entry, at once; the names for which it was done."""
    honest = cache.folder.parent / "honest"
    shutil.copytree(cache.entry, honest, copy_function=_copied)
    made: list[str] = []

    def make(*arguments: Any) -> None:
        name, work = arguments[3], arguments[6]
        made.append(name)
        for path in honest.iterdir():
            _copied(path, work / path.name)

    monkeypatch.setattr(keys, "_make", make)
    monkeypatch.setattr(keys, "rows_of", lambda *_: 12)
    return made


def test_what_is_kept_is_used(cache: Cache, remade: list[str]) -> None:
    found, verifying = cache.derived(proving=True)
    assert not remade and found.logrows == 12
    assert found.verifying_digest == cache.iris.proved.verifying_key
    assert verifying == (cache.entry / "verifying.key").read_bytes()
    assert found.verifying.parent != cache.entry  # a copy of what was hashed
    assert cache.kept(proving=True) is not None


def test_planted_keys_in_a_folder_that_others_can_write(
    iris: IrisProof, foreign: Foreign, cache: Cache, remade: list[str]
) -> None:
    """All digests are right: it is owner and mode that tell."""
    cache.plant(foreign)
    assert iris.verify(foreign.bundle, weights=foreign.weights).steps == 2
    for weak in (cache.folder, cache.entry, cache.entry / "verifying.key"):
        before = weak.stat().st_mode
        weak.chmod(0o777)
        with (
            pytest.warns(Notice, match="others could have written|is not used"),
            pytest.raises(StatementMismatch, match="verifying key is not that"),
        ):
            iris.verify(foreign.bundle, weights=foreign.weights)
        weak.chmod(before & 0o7777) if weak.exists() else None
        cache.plant(foreign)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("weak", ["folder", "entry", "settings.json"])
def test_planted_keys_of_another_user(
    iris: IrisProof, foreign: Foreign, cache: Cache, remade: list[str], weak: str
) -> None:
    cache.plant(foreign)
    known = {"folder": cache.folder, "entry": cache.entry}
    os.chown(known.get(weak, cache.entry / weak), OTHER_USER, 0)
    with (
        pytest.warns(Notice),
        pytest.raises(StatementMismatch, match="verifying key is not that"),
    ):
        iris.verify(foreign.bundle, weights=foreign.weights)


def test_a_cache_that_is_not_used_is_not_written(cache: Cache, remade: list[str]) -> None:
    shutil.rmtree(cache.entry)
    cache.folder.chmod(0o777)
    with pytest.warns(Notice, match="cache of ezkl is not used"):
        _, verifying = cache.derived()
    assert verifying and remade and not list(cache.folder.iterdir())


def test_an_entry_of_another_name(cache: Cache) -> None:
    cache.name = "11" * 32
    shutil.move(next(cache.folder.glob("[0-9a-f]*")), cache.entry)
    assert cache.kept() is None


def test_another_root_of_the_pairing(cache: Cache) -> None:
    """``tau H`` of another set-up under the same name: what verifying takes is in the digest."""
    data = bytearray(cache.srs.verifying)
    data[-1] ^= 1
    assert cache.kept(srs=replace(cache.srs, verifying=bytes(data))) is None
    assert cache.kept() is not None


def test_a_root_of_the_pairing_in_the_cache_is_not_looked_at(
    iris: IrisProof, cache: Cache, remade: list[str]
) -> None:
    (cache.entry / "verifying.srs").write_bytes(bytes(516))
    assert iris.verify().steps == 2 and not remade


Spoil = Callable[[Cache], object]


def _spoilt(name: str) -> Spoil:
    def spoil(cache: Cache) -> None:
        path = cache.entry / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    return spoil


def _described(text: str) -> Spoil:
    return lambda cache: (cache.entry / "keys.json").write_text(text)


def _a_file(cache: Cache) -> None:
    shutil.rmtree(cache.entry)
    cache.entry.write_text("")


def _a_link(cache: Cache) -> None:
    moved = cache.folder.parent / "moved"
    cache.entry.rename(moved)
    cache.entry.symlink_to(moved)


def _a_pipe(cache: Cache) -> None:
    (cache.entry / "keys.json").unlink()
    os.mkfifo(cache.entry / "keys.json", 0o600)


BROKEN: dict[str, Spoil] = {
    "an entry that is a file": _a_file,
    "an entry that is a link": _a_link,
    "a description that is a pipe": _a_pipe,
    "no rows": lambda cache: cache.describe(logrows=1e999),
    "rows of no size": lambda cache: cache.describe(logrows=23),
    "too few rows": lambda cache: cache.describe(logrows=9),
    "rows of another type": lambda cache: cache.describe(logrows=True),
    "another format": lambda cache: cache.describe(format="zktrain-ezkl-keys-1"),
    "another digest": lambda cache: cache.describe(digest="00" * 32),
    "no object": _described("[]"),
    "no fields": _described("{}"),
    "nested": _described("[" * 4000),
    "too long": _described("{}" + " " * 5000),
    "no JSON": _described("\0"),
    "another verifying key": _spoilt("verifying.key"),
    "other settings": _spoilt("settings.json"),
    "another circuit": _spoilt("step.ezkl"),
    "no settings": lambda cache: (cache.entry / "settings.json").unlink(),
}


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN)
def test_a_broken_entry_is_made_anew(cache: Cache, remade: list[str], spoil: Spoil) -> None:
    spoil(cache)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        found, _ = cache.derived()
    assert remade == [cache.name]
    assert found.verifying_digest == cache.iris.proved.verifying_key
    assert cache.kept() is not None


def test_a_proving_key_of_another_size(cache: Cache) -> None:
    cache.describe(proving_key_bytes=1)
    assert cache.kept(proving=True) is None and cache.kept() is not None


def test_two_processes_that_need_the_same_keys(cache: Cache, remade: list[str]) -> None:
    """The second waits and says so; one that needs other keys does not."""
    other, mine = (cache.folder / f"{name}.lock" for name in ("22" * 32, cache.name))
    with claimed(other, busy="busy"):
        cache.derived()
    with ExitStack() as held:
        held.enter_context(claimed(mine, busy="busy"))
        release = threading.Timer(1.5, held.close)
        release.start()
        with pytest.warns(Notice, match=r"another process is making the keys.*waiting"):
            cache.derived()
        release.join()
    assert not remade
