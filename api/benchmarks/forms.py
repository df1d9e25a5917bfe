"""Uploads as they go over the wire: the form around a file, and the file by the kernel."""

import re
import socket
from pathlib import Path

from benchmarks import client

BOUNDARY = "a-benchmark-of-kt-images"
END = f"\r\n--{BOUNDARY}--\r\n".encode()
IMAGE_ID = re.compile(rb"[Ll]ocation: /images/(\d+)\r\n")


def request(path: Path) -> bytes:
    """Return the whole request that uploads the file."""
    content = path.read_bytes()
    return _beginning(path.name, len(content)) + content + END


def upload(port: int, path: Path) -> int:
    """Upload the file; return the new image's id. Raises RuntimeError unless the service stores it."""
    with socket.create_connection((client.HOST, port)) as connection, path.open("rb") as file:
        connection.sendall(_beginning(path.name, path.stat().st_size))
        connection.sendfile(file)
        connection.sendall(END)
        answer = connection.recv(client.BUFFER)
    if created := IMAGE_ID.search(answer):
        return int(created[1])
    raise RuntimeError(f"The service does not store {path.name}: {answer!r}")


def _beginning(name: str, size: int) -> bytes:
    part = (
        f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="image"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    lines = (
        "POST /images/upload HTTP/1.1",
        f"Host: {client.HOST}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(part) + size + len(END)}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + part
