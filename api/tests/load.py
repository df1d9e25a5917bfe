"""Clients that keep asking, and notice each refused connection and each answer that breaks."""

import asyncio
import json
import uuid
from collections import Counter
from contextlib import asynccontextmanager

NEW = (
    "POST /images HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {}\r\n"
    "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}"
)


class Load:
    """What became of the requests: `answers` by status, `stored` names, and `broken` ones by their exception."""

    def __init__(self, port, connection):
        self._port, self._connection = port, connection
        self.answers, self.broken, self.stored = Counter(), Counter(), set()
        self.has_ended = False

    async def client(self):
        """Create images, one after the other, on a connection that is kept as long as the service keeps it."""
        writer = None
        while not self.has_ended:
            name = uuid.uuid4().hex
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                closes = await self._create(reader, writer, name)
            except (OSError, EOFError) as error:
                self.broken[type(error).__name__] += 1
                closes = True
            if closes and writer:
                writer.close()
                writer = None
            await asyncio.sleep(0.001)
        if writer:
            writer.close()

    async def _create(self, reader, writer, name):
        body = json.dumps({"filename": name})
        writer.write(NEW.format(self._connection, len(body), body).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
        status = int(head.split()[1])
        self.answers[status] += 1
        if status == 201:
            self.stored.add(name)
        return "connection: close" in head

    async def further(self, answers):
        """Wait until so many more requests are answered."""
        until = self.answers.total() + answers
        async with asyncio.timeout(30):
            while self.answers.total() < until:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def load(port, clients=16, connection="keep-alive"):
    """Have so many clients ask meanwhile, on connections that are kept, or closed after each answer."""
    made = Load(port, connection)
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(made.client())
        try:
            yield made
        finally:
            made.has_ended = True
