"""nginx, serving a folder with nothing but what makes it fast."""

import grp
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import client
from benchmarks.contestants import START_SECONDS, free_port
from benchmarks.rows import LeftOutError

# Debian's is not on everybody's PATH.
FOLDERS = f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin"
CONFIGURATION = """
daemon off;
user {user} {group};
worker_processes auto;
pid {work}/pid;
error_log {work}/errors warn;
events {{ worker_connections 1024; }}
http {{
    sendfile on;
    tcp_nopush on;
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    server {{
        listen {host}:{port};
        root {root};
    }}
}}
"""


@contextmanager
def serving(root: Path, work: Path) -> Iterator[int]:
    """Serve the files of `root`, with `work` for what nginx writes; give the port. Raises LeftOutError."""
    program = shutil.which("nginx", path=FOLDERS)
    if not program:
        raise LeftOutError("nginx cannot be found; apt-get install nginx-light, or the like, brings it")
    work.mkdir()
    port = free_port()
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    text = CONFIGURATION.format(user=user, group=group, work=work, host=client.HOST, port=port, root=root)
    (work / "nginx.conf").write_text(text)
    log = work / "errors"
    process = subprocess.Popen([program, "-c", str(work / "nginx.conf"), "-e", str(log)])
    try:
        _wait_until_ready(process, port, log)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.status(port, "/")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nginx does not start: {log.read_text()}")
