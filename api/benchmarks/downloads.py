"""Files read by connections that are kept, and thrown away: a client that costs next to nothing."""

import selectors
import socket
import time

from benchmarks import client

LENGTH = b"content-length:"


def megabytes_per_second(port: int, path: str, *, connections: int, seconds: float) -> float:
    """Return how many megabytes a second come; each connection asks again when its file is complete."""
    buffer, received = bytearray(client.BUFFER), 0
    with selectors.DefaultSelector() as selector:
        downloads = [_Download(port, path) for _ in range(connections)]
        for download in downloads:
            selector.register(download.connection, selectors.EVENT_READ, download)
        started = time.perf_counter()
        while (passed := time.perf_counter() - started) < seconds:
            for key, _ in selector.select():
                received += key.data.receive(buffer)
        for download in downloads:
            download.connection.close()
    time.sleep(client.NOTICE_SECONDS)
    return received / 10**6 / passed


class _Download:
    """A connection with one request on its way."""

    def __init__(self, port: int, path: str) -> None:
        self.connection = socket.create_connection((client.HOST, port))
        self._request = client.request(path)
        self._ask()

    def receive(self, buffer: bytearray) -> int:
        """Read what is there, and return how many bytes of the file it is; ask anew behind the last one."""
        received = self.connection.recv_into(buffer)
        if self._left is None:
            end = buffer.find(client.HEAD_END, 0, received) + len(client.HEAD_END)
            head = bytes(buffer[:end]).lower()
            if not head.startswith(b"http/1.1 %d" % client.OK):
                raise RuntimeError(f"The server answers {bytes(buffer[:received])!r}")
            self._left = int(head.partition(LENGTH)[2].split(b"\r\n", 1)[0])
            received -= end
        elif not received:
            raise RuntimeError("The server hung up")
        self._left -= received
        if not self._left:
            self._ask()
        return received

    def _ask(self) -> None:
        self._left: int | None = None
        self.connection.sendall(self._request)
