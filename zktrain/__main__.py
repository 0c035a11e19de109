"""``python -m zktrain`` is the command ``zktrain``."""

from .cli.main import run

run()
