"""An upload whose body has not arrived completely yet."""

import socket
from urllib.parse import urlsplit

from victim import a_picture

HEAD = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'


class HalfUpload:
    """The first half of it is sent."""

    def __init__(self, url, image):
        address = urlsplit(url)
        body = HEAD + a_picture(200) + b"\r\n--b--\r\n"
        self._rest = body[len(body) // 2 :]
        self._socket = socket.create_connection((address.hostname, address.port), timeout=20)
        self._socket.sendall(
            f"POST /images/{image}/attachment/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n".encode()
            + body[: len(body) // 2]
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._socket.close()

    def finish(self):
        """Send the rest; return the answer's status."""
        self._socket.sendall(self._rest)
        return int(self._socket.recv(1000).split()[1])
