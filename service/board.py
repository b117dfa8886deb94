"""What a worker's parent can see of its children: whether each runs a job, and until when.

Memory that they share, so that a child that hangs need not answer.
"""

import mmap
import struct
import time
from uuid import UUID

from service import queue
from service.claims import Claim

_SLOT = struct.Struct("d16si")  # deadline; id and attempt of the job that runs
FALLBACK_TIMEOUT = 60  # seconds, for a function that the code does not know


class Board:
    """A slot for each child."""

    def __init__(self, slots: int) -> None:
        self._memory = mmap.mmap(-1, slots * _SLOT.size)

    def slot(self, number: int) -> "Slot":
        return Slot(self._memory, number * _SLOT.size)


class Slot:
    """Written by one child, read by the parent."""

    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        self._memory = memory
        self._offset = offset
        self.timeout = 0  # seconds that the job which runs may take

    def begin(self, claim: Claim) -> None:
        function = queue.find(claim.function)
        self.timeout = function.timeout if function else FALLBACK_TIMEOUT
        self._set(time.monotonic() + self.timeout, claim.id.bytes, claim.attempts)

    def end(self) -> None:
        self._set(0, b"", 0)

    @property
    def deadline(self) -> float:
        """When the job that runs must have ended, in monotonic seconds; 0 if none does."""
        return float(_SLOT.unpack_from(self._memory, self._offset)[0])

    @property
    def running(self) -> tuple[UUID, int] | None:
        """The id of the job that runs, and which attempt at it this is."""
        deadline, id, attempt = _SLOT.unpack_from(self._memory, self._offset)
        return (UUID(bytes=id), attempt) if deadline else None

    def _set(self, deadline: float, id: bytes, attempt: int) -> None:
        _SLOT.pack_into(self._memory, self._offset, deadline, id, attempt)
