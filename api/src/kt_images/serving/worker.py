"""`python3 -m kt_images.serving.worker`: one of several processes that serve, started by `child.py` and by nobody else.

Its arguments are the descriptors of its line to the supervisor and, separated by commas, of the sockets of each place.
The first line that it receives has the settings; from then on it is told where to listen, and to retire. It sends that
it is ready, or why it fails. When the line breaks, the supervisor is gone, and the worker ends at once.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence

from uvloop import new_event_loop

from kt_images.base_settings import Settings
from kt_images.database.failures import explained
from kt_images.errors import KtImagesError, MissingExtraError, OtherStoreError, SchemaError, UnlimitedError
from kt_images.serving import process
from kt_images.serving.server import Server
from kt_images.serving.sockets import Place


def main() -> None:
    """Serve as the supervisor says; exit with 0 when told to stop."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a terminal sends them to all its processes; the supervisor acts on them
    line = _socket(sys.argv[1])
    places = [[_socket(one) for one in place.split(",")] for place in sys.argv[2:]]
    with line.makefile("rb") as received:
        first = received.readline()
    if not first:
        sys.exit(1)  # the supervisor is gone already
    settings = Settings.model_validate_json(first)
    process.prepare(settings.access_log)
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(settings, places, line.dup()))
    except KtImagesError as error:
        is_final = isinstance(error, SchemaError | OtherStoreError | UnlimitedError | MissingExtraError)
        line.sendall(_line({"sentence": explained(error), "is_final": is_final}))
        sys.exit(1)


async def _serve(settings: Settings, places: Sequence[Place], line: socket.socket) -> None:
    server = Server(settings, places)
    # It may come more than once: a service manager sends it to every process.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    reader, writer = await asyncio.open_connection(sock=line)
    obeying = asyncio.create_task(_obey(reader, server))

    async def begin() -> None:
        writer.write(_line("ready"))

    await server.run(begin)
    obeying.cancel()


async def _obey(reader: asyncio.StreamReader, server: Server) -> None:
    """Do what the supervisor says, as long as there is one."""
    while order := await reader.readline():
        match json.loads(order):
            case "retire":
                server.retire()
            case numbers:
                try:
                    await server.listen(numbers)
                except KtImagesError as error:
                    server.fail(error)
    os._exit(1)


def _socket(descriptor: str) -> socket.socket:
    """Return an inherited socket, which no decoder inherits again: uvloop closes nothing for a process it starts."""
    os.set_inheritable(int(descriptor), False)
    return socket.socket(fileno=int(descriptor))


def _line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


if __name__ == "__main__":
    main()
