"""Sites as a visitor sees them: one request on a fresh connection."""

import socket


def answer(address, name, path="/", timeout=10):
    """The status a site answers with on a fresh connection, and what it says. None, a late or a broken answer is an OSError,
    nonsense a ValueError."""
    with socket.create_connection((address, 80), timeout=timeout) as stream:
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        whole = b""
        while part := stream.recv(65536):
            whole += part
    head, _, body = whole.partition(b"\r\n\r\n")
    if not head:
        raise ConnectionResetError("closed without an answer")
    status = head.split()[1:2]
    return int(status[0] if status else b""), body


def fetch(address, name, path="/", timeout=10):
    """The status a site answers with on a fresh connection; 0 if it does not."""
    try:
        return answer(address, name, path, timeout)[0]
    except (OSError, ValueError):
        return 0
