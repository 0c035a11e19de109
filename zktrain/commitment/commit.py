"""Committing: lanes, interleaved Reed-Solomon code, Merkle tree over code word positions."""

from __future__ import annotations
