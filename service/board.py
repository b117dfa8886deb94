"""What a worker's parent can see of its children: whether each runs a job, and until when.

Memory that they share, so that a child that hangs need not answer.
"""

import mmap
import struct
import time

from service import queue
from service.outbox import Claim

_DEADLINE = struct.Struct("d")
FALLBACK_TIMEOUT = 60  # seconds, for a function that the code does not know


class Board:
    """A slot for each child."""

    def __init__(self, slots: int) -> None:
        self._memory = mmap.mmap(-1, slots * _DEADLINE.size)

    def slot(self, number: int) -> "Slot":
        return Slot(self._memory, number * _DEADLINE.size)


class Slot:
    """Written by one child, read by the parent."""

    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        self._memory = memory
        self._offset = offset
        self.timeout = 0  # seconds that the job which runs may take

    def begin(self, claim: Claim) -> None:
        function = queue.find(claim.function)
        self.timeout = function.timeout if function else FALLBACK_TIMEOUT
        self._set(time.monotonic() + self.timeout)

    def end(self) -> None:
        self._set(0)

    @property
    def deadline(self) -> float:
        """When the job that runs must have ended, in monotonic seconds; 0 if none does."""
        return float(_DEADLINE.unpack_from(self._memory, self._offset)[0])

    def _set(self, deadline: float) -> None:
        _DEADLINE.pack_into(self._memory, self._offset, deadline)
