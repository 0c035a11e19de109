"""``python -m zktrain`` is the command ``zktrain``."""

from .cli.entry import run

run()
