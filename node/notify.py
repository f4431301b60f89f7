"""Tell the service manager how we are: sd_notify(3) is one datagram."""

import os
import socket


def notify(state: str) -> bool:
    """Send `state`, such as READY=1, to the service manager; return whether there was one."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(state.encode(), address)
        except OSError:
            return False
    return True
