"""Where randomness comes from: every draw derives from (seed, purpose, step), so no state has to be kept."""

import hashlib


def derive(seed: int, purpose: str, step: int = 0) -> int:
    """A 63-bit seed that depends on all three and on nothing else."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
