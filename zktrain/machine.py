"""The machine as far as figures depend on it, and the memory that is left on it."""

from __future__ import annotations

import os
import platform
import re
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .errors import InputError

PACKAGES = ("numpy", "numba", "torch")
FLAGS = ("avx2", "avx512f", "avx512ifma", "sha_ni", "neon", "sha2")

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(i?)B?\s*", re.IGNORECASE)
_NO_LIMIT = 1 << 60
_MOST_THREADS = 1024


def describe() -> dict[str, Any]:
    """Processor, its instructions of interest, cores, threads, memory, system and versions."""
    name, flags = _cpu()
    return {
        "cpu": name,
        "flags": flags,
        "cores": _cores(),
        "threads": thread_count(),
        "memory_bytes": bytes_of_pages("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
    }


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> tuple[str, list[str]]:
    found: dict[str, str] = {}
    for line in text_of("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    flags = (found.get("flags") or found.get("Features") or "").split()
    name = found.get("model name") or platform.processor() or platform.machine() or "unknown"
    return name, [flag for flag in FLAGS if flag in flags]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def bytes_of_pages(name: str) -> int | None:
    """Bytes of a number of pages that the system tells."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf(name))
    except (AttributeError, ValueError, OSError):
        return None


def text_of(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def available_memory() -> int | None:
    """Bytes that this process may still take: what the system has free or can free, and what its
    control group leaves; None where nothing is told."""
    known = [count for count in (_system_memory(), _group_memory()) if count is not None]
    return min(known) if known else None


def _system_memory() -> int | None:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text_of("/proc/meminfo"), re.MULTILINE)
    return 1024 * int(found[1]) if found else bytes_of_pages("SC_AVPHYS_PAGES")


def _group_memory() -> int | None:
    """What the limits of the process's control group and its parents leave."""
    left = []
    root = Path("/sys/fs/cgroup")
    for line in text_of("/proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, place = rest.partition(":")
        if controllers == "":
            base, limit, usage = root, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base = root / "memory"
            limit, usage = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        folder = base / place.lstrip("/")
        for at in (folder, *folder.parents):
            most, used = text_of(str(at / limit)).strip(), text_of(str(at / usage)).strip()
            if most.isdigit() and used.isdigit() and int(most) < _NO_LIMIT:
                cache = re.search(r"^inactive_file (\d+)", text_of(str(at / "memory.stat")), re.M)
                left.append(max(0, int(most) - int(used) + (int(cache[1]) if cache else 0)))
            if at == base:
                break
    return min(left) if left else None


def parse_size(text: str) -> int:
    """Bytes of ``8GB``, ``500M``, ``4GiB``; raises :class:`InputError`."""
    found = _SIZE.fullmatch(text)
    if found is None or float(found[1]) <= 0:
        raise InputError(f"{text!r:.40} is no amount of memory; write 8GB, 500MB or 4GiB")
    unit = found[2].upper()
    scale = 1024 ** " KMGT".index(unit) if found[3] and unit else _UNITS[unit]
    return int(float(found[1]) * scale)


@lru_cache(maxsize=1)
def thread_count() -> int:
    """Processors this process may use; ``ZKTRAIN_THREADS`` overrides. Raises ``InputError``."""
    wanted = os.environ.get("ZKTRAIN_THREADS")
    if wanted:
        if not (wanted.isascii() and wanted.isdigit() and 1 <= int(wanted[:9]) <= _MOST_THREADS):
            raise InputError(
                f"ZKTRAIN_THREADS is {wanted!r:.40}; give a number from 1 to {_MOST_THREADS}, "
                "or unset it"
            )
        return int(wanted[:9])
    return _cores()
