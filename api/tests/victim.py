"""A service as a process that is to be killed, traced and starved, and the few calls that tell what became of it."""

import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

from pictures import drawn

# With one thread for its files a service makes its system calls in the same order each time. asyncio's own loop is woken
# up by sendto(); uvloop's, by a write() that an injected fault would hit instead of the file's.
ONE_WORKER = """
import asyncio, concurrent.futures, runpy, uvloop
from kt_images.files import threads
uvloop.new_event_loop = asyncio.new_event_loop
concurrent.futures.ThreadPoolExecutor.__init__.__defaults__ = (1, "", None, ())
threads._READERS = threads._WRITERS = concurrent.futures.ThreadPoolExecutor()
runpy.run_module("kt_images", run_name="__main__", alter_sys=True)
"""

BROKEN = (ConnectionError, http.client.HTTPException, urllib.error.URLError, TimeoutError)


serial = itertools.count()


def a_picture(size=40):
    """A picture like no other."""
    return drawn("BMP", (size, size)) + f"{next(serial)}".encode()


class Victim:
    """A running service."""

    def __init__(self, dsn, uploads, **settings):
        variables = {f"KT_IMAGES_{name.upper()}": str(value) for name, value in settings.items()}
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed at the victim's end)
        self.process = subprocess.Popen(
            [sys.executable, "-c", ONE_WORKER, "--postgres_dsn", dsn, "--uploads_dir", str(uploads)],
            env={**os.environ, "KT_IMAGES_PORT": "0", "KT_IMAGES_HOST": "127.0.0.1", **variables},
            text=True, stdout=subprocess.PIPE, stderr=self._log,
        )  # fmt: skip
        self.url = re.search(r"http://\S+?(?=;)", self.process.stdout.readline() or self.log()).group()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._log.close()

    def log(self):
        """What it complained of."""
        self._log.seek(0)
        return self._log.read()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def call(self, path, body=None, content_type="application/json", method=None):
        """Return the answer's status and body; None and nothing when it broke off."""
        request = urllib.request.Request(self.url + path, body, {"Content-Type": content_type}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except BROKEN:
            return None, b""

    def new_image(self):
        status, body = self.call("/images", b'{"filename": "x"}')
        return json.loads(body)["image_id"] if status == 201 else None

    def upload(self, image_id, name, content):
        """Return the answer's status; None when it broke off: the upload was not acknowledged."""
        head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
        body = head + content + b"\r\n--b--\r\n"
        return self.call(f"/images/{image_id}/attachment/{name}", body, "multipart/form-data; boundary=b")[0]

    def download(self, image_id, name):
        """Return the bytes; None when nothing is stored there."""
        status, body = self.call(f"/media/{image_id}/{name}")
        assert status in {200, 404}, (status, body, self.log())
        return body if status == 200 else None

    def loop_thread(self):
        return [self.process.pid]

    def file_threads(self):
        return sorted(
            {int(task.name) for task in Path(f"/proc/{self.process.pid}/task").iterdir()} - {self.process.pid}
        )

    @contextlib.contextmanager
    def traced(self, threads, *options):
        """Have strace attached to these threads; what it writes goes to its option -o."""
        attach = [word for thread in threads for word in ("-p", str(thread))]
        strace = subprocess.Popen(["strace", *options, *attach], stderr=subprocess.PIPE, text=True)
        attached = 0
        while attached < len(threads):
            line = strace.stderr.readline()
            assert line, "strace did not attach"
            attached += "attached" in line
        rest = threading.Thread(target=strace.stderr.read)
        rest.start()
        try:
            yield
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait(10)
            rest.join()
            strace.stderr.close()
