"""Ports: whether one is taken, by whom, and which other one is free."""

import contextlib
import errno
import socket
from collections.abc import Sequence
from pathlib import Path

EVERYWHERE = ("0.0.0.0", "127.0.0.1", "::", "::1")


def every_address() -> str:
    """What a server binds to be reached by both families: Railway's private network has IPv6
    only, and some machines have none."""
    try:
        socket.socket(socket.AF_INET6).close()
        if not Path("/proc/net/if_inet6").read_text():
            raise OSError("no address")
    except FileNotFoundError:
        pass  # no Linux: the socket was made, so there is IPv6
    except OSError:
        return "0.0.0.0"
    return "::"


class Refused(Exception):
    """Nothing was started; the message is one line for who tried."""


def refuse_taken(port: int, command: str, hosts: Sequence[str] = EVERYWHERE) -> None:
    """Raises Refused if the port is taken, with who holds it and how to choose another."""
    if not is_taken(port, hosts):
        return
    free = (each for each in range(port + 1, 65536) if not is_taken(each, hosts))
    other = f"PORT={next(free, 8001)} {command}"
    raise Refused(f"Port {port} is taken by {_holder(port)}. Choose another: {other}")


def is_taken(port: int, hosts: Sequence[str] = EVERYWHERE) -> bool:
    """Whether somebody listens on one of these addresses."""
    return any(_is_bound(host, port) for host in hosts)


def _is_bound(host: str, port: int) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            # As servers do: connections that are closed already do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:  # no IPv6 here, or a port below 1024: no matter of ours
        return error.errno == errno.EADDRINUSE
    return False


def _holder(port: int) -> str:
    try:
        import psutil  # a development dependency: a server in production lives without it
    except ImportError:
        return f"another process (ss -ltnp 'sport = :{port}' names it)"
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return f"pid {process.pid} ({' '.join(process.cmdline())[:100]})"
    return "a process of another user"
