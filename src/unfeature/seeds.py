"""Randomness as a function of (seed, what it is for, index), and of nothing else.

Every random draw in the package comes from a `torch.Generator` made here. So no result depends on
batch size, on what ran before, or on a global state; and a resumed run draws what the
uninterrupted one would have drawn.
"""

import hashlib

import torch


def derive(seed: int, *path: str | int) -> int:
    """A 63-bit seed that depends on every part of `path` and on nothing else."""
    text = "/".join([str(seed), *map(str, path)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def rng(seed: int, *path: str | int) -> torch.Generator:
    """A CPU random generator for one purpose, named by `path`."""
    return torch.Generator().manual_seed(derive(seed, *path))
