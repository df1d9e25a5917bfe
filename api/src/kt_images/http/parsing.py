"""Bytes that have arrived, parsed in turns: no connection holds up the others, whatever it sends.

A chunk of a body costs the same however short it is, and uvloop reads from one connection as long as there is something
to read: eight connections that send chunks of one byte as fast as they can kept all others waiting for seconds.
"""

import asyncio
import time
from collections import deque
from weakref import WeakKeyDictionary

from aiohttp.web_protocol import RequestHandler

# Bytes that are parsed without a look at the time.
PIECE = 16 * 1024
# Seconds: of one connection's turn, and of all turns until whatever else is ready has its own.
TURN, ROUND = 0.001, 0.002


class Turns:
    """The connections of an event loop that have bytes to parse, in the order in which their turns come."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[TakingTurns] = deque()

    def wait(self, connection: "TakingTurns") -> None:
        """Have `connection.parse()` called soon."""
        if not self._waiting:
            self._loop.call_soon(self._round)
        self._waiting.append(connection)

    def _round(self) -> None:
        until = time.monotonic() + ROUND
        while self._waiting and time.monotonic() < until:
            self._waiting.popleft().parse()
        if self._waiting:
            self._loop.call_soon(self._round)


_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


class TakingTurns(RequestHandler):
    """A connection that parses what has arrived piece by piece, and reads more only then."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._unparsed = bytearray()
        self._is_waiting = False
        self._turns = _TURNS.setdefault(self._loop, Turns(self._loop))
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, or leave it for a turn if it is much; without bytes, what the parser has left over."""
        if len(data) <= PIECE and not self._unparsed:
            self.parse_piece(data)
            return
        self._unparsed += data
        self._pause_transport_reading()
        self._wait()

    def parse_piece(self, piece: bytes) -> None:
        """Have aiohttp parse these bytes."""
        super().data_received(piece)

    def parse(self) -> None:
        """Parse for the time of a turn."""
        self._is_waiting = False
        until = time.monotonic() + TURN
        while self._unparsed and self._may_parse() and time.monotonic() < until:
            with memoryview(self._unparsed) as unparsed:
                piece = bytes(unparsed[:PIECE])
            del self._unparsed[:PIECE]
            self.parse_piece(piece)
        if self._may_parse():
            self._resume_transport_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on after a pause. aiohttp calls this for each chunk that is taken out of a body, paused or not."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _may_parse(self) -> bool:
        """Return whether those who use what was parsed want more."""
        return self.transport is not None and not self._reading_paused and not self._buffer_paused

    def _resume_transport_reading(self) -> None:
        """Read on, but not before all is parsed that was read already. aiohttp calls this whenever it wants more."""
        if self._unparsed:
            self._wait()
        else:
            super()._resume_transport_reading()

    def _wait(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self._turns.wait(self)
