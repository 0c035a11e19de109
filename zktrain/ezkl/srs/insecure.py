"""The tau that every string for tests is made with.

It is public, so that nobody can take such a string for the outcome of a ceremony: its file ends in
the same 128 bytes whatever its size and name, and is known by them. Whoever knows tau, that is
everybody, can prove anything with it.
"""

from __future__ import annotations

import hashlib

from .curve import R

TAU = int.from_bytes(hashlib.sha256(b"zktrain insecure SRS v1").digest(), "big") % R

S_H = (
    1679577377426297472601574569720309899220458576641208668039236599536396342418,
    7252273405247967300001761105441999301371818878405765527900532893000729070307,
    7218904591082581195286676920761760654666431133817405276592429763109384568986,
    7358088050250988520720026453613764444821181859687192007665196220480302137839,
)
"""``tau H``, the last point of the file, whose coordinates are those of ``srs.format``."""
