"""A mail server of a test's own."""

import asyncio
import socket
from threading import Event, Thread
from typing import Any, Self

from aiosmtpd.smtp import SMTP


class MailServer:
    """One at 127.0.0.1, for as long as the block lasts or until it is stopped.

    aiosmtpd's own controller stops its loop at once: a connection that is just being accepted, or
    closed, is left to the garbage collector, whose warning fails whichever test runs then.
    """

    def __init__(self, handler: object, port: int, **options: Any) -> None:
        self.port = port
        self._session = lambda: SMTP(handler, **options)
        self._ready = Event()
        self._thread = Thread(target=asyncio.run, args=(self._serve(),))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), f"no mail server on port {self.port} after 10 s"
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        sessions: list[SMTP] = []

        def accept() -> SMTP:
            sessions.append(self._session())
            return sessions[-1]

        listening = socket.create_server(("127.0.0.1", self.port))
        server = await self._loop.create_server(accept, sock=listening)
        self._ready.set()
        await self._stopped.wait()
        # A server that is closed drops what it has accepted just now, so first no more is accepted.
        self._loop.remove_reader(listening)
        while len(asyncio.all_tasks()) > 1 or any(session.transport for session in sessions):
            for session in sessions:
                if session.transport:
                    session.transport.abort()
            await asyncio.sleep(0)
        server.close()
