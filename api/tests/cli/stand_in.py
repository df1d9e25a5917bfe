"""A server in a thread that stands where a service is looked for."""

import socketserver
import threading


class StandIn(socketserver.ThreadingTCPServer):
    """Serves meanwhile; `finish_request` says how."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), None)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
