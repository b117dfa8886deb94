"""Password hashes: Argon2id as OWASP advises, and a bound on how many are worked out at once.

https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from service.errors import Unavailable

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # 19 MiB, 45 ms

# The hash of a password that nobody knows, made with the same parameters: what is checked when
# there is no such user, so that the time tells nothing.
NOBODY = (
    "$argon2id$v=19$m=19456,t=2,p=1$88WRQvNoZ2hPDdfzetqKjg"
    "$HAr/m0Lc+/V/2/RtMDt0opksyNOJFB0RBvASxxrX3n4"
)

# Without a bound, sign-ins are a cheap way to use up all CPU and memory.
AT_ONCE = 2  # in each process
PATIENCE = 2  # seconds
_slots = BoundedSemaphore(AT_ONCE)


@contextmanager
def _slot() -> Iterator[None]:
    if not _slots.acquire(timeout=PATIENCE):
        raise Unavailable("Too many people are signing in right now.", retry_after=2)
    try:
        yield
    finally:
        _slots.release()


def hash(password: str) -> str:
    """The hash to store. Raises Unavailable when too many are being made."""
    with _slot():
        return _hasher.hash(password)


def matches(hashed: str | None, password: str) -> bool:
    """Whether the password fits; takes as long when there is no hash to compare with."""
    with _slot():
        try:
            return _hasher.verify(hashed or NOBODY, password) and hashed is not None
        except VerifyMismatchError:
            return False


def is_outdated(hashed: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(hashed)
