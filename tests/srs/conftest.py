"""py_ecc is loaded here first, in the way that leaves the recursion limit of all tests alone."""

import zktrain.srs.pairing  # noqa: F401
