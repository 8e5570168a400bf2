"""Ports for processes that have to be told theirs."""

import socket


def free_port() -> int:
    """One of loopback that nothing listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
