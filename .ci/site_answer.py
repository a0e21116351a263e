"""Sites as a visitor sees them: one request on a fresh connection."""

import socket


def ask(address, name, path="/", timeout=10):
    """The status a site answers with on a fresh connection. None, a late or a broken answer is an OSError, nonsense a ValueError."""
    with socket.create_connection((address, 80), timeout=timeout) as stream:
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while b"\r\n" not in answer:
            part = stream.recv(4096)
            if not part:
                raise ConnectionResetError("closed without an answer")
            answer += part
    status = answer.split()[1:2]
    return int(status[0] if status else b"")


def fetch(address, name, path="/", timeout=10):
    """The status a site answers with on a fresh connection; 0 if it does not."""
    try:
        return ask(address, name, path, timeout)
    except (OSError, ValueError):
        return 0
