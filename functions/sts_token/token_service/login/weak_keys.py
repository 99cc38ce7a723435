"""Detects RSA keys that anyone can break, although they are long enough."""

from __future__ import annotations

# Primes, and the order of 65537 modulo each prime. A prime with 65537 as a generator is left out,
# because every key would pass the test with this prime.
_ORDERS = {11: 2, 13: 6, 17: 8, 19: 9, 37: 3, 53: 26, 61: 20, 71: 35, 73: 24, 79: 13, 97: 6}
_ORDERS |= {103: 51, 107: 53, 109: 54, 127: 42, 151: 50, 157: 78}


def is_roca(modulus: int) -> bool:
    """Whether a faulty chip of Infineon made the key (ROCA, CVE-2017-15361). The primes of a ROCA
    key are powers of 65537 modulo small primes, and can be computed from the modulus (Nemec et al.,
    "The Return of Coppersmith's Attack", 2017). One good key in 2^27 also gives True."""
    return all(pow(modulus, order, prime) == 1 for prime, order in _ORDERS.items())
