"""`python3 -m kt_images`: serve until SIGINT or SIGTERM, in this process or by several workers."""

import asyncio
import sys

from uvloop import new_event_loop

from kt_images import logs
from kt_images.base_settings import read_settings
from kt_images.database.failures import explained
from kt_images.errors import KtImagesError
from kt_images.serving import process, sockets
from kt_images.serving.server import serve_alone
from kt_images.serving.supervisor import supervise


def main() -> None:
    """Serve; exit with 0 after a signal to stop, with 1 and a sentence if the service cannot start."""
    settings = read_settings()
    process.prepare(settings.access_log)
    serve = supervise if settings.workers > 1 else serve_alone
    try:
        places = sockets.bind(settings.host, settings.port, settings.workers)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            sys.exit(runner.run(serve(settings, places)))
    except KtImagesError as error:
        logs.say(f"kt-images cannot start: {explained(error)}", sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
