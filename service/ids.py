"""UUIDv7 ids (RFC 9562 section 5.7): random, and in order of time to the millisecond."""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """48 bits of Unix time in ms, version 7, 74 random bits. (`uuid.uuid7` comes with 3.14.)"""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF000 << 64) | (7 << 76)
    return UUID(int=value & ~(0b11 << 62) | (0b10 << 62))
