"""nginx, serving a folder, and what a server behind it lets it keep, with nothing but what makes it fast."""

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
    proxy_cache_path {work}/cache keys_zone=media:1m use_temp_path=off;
    upstream behind {{
        server {host}:{behind};
        keepalive 4;
    }}
    server {{
        listen {host}:{port};
        root {root};
        location /media/ {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache media;
            proxy_cache_lock on;
        }}
    }}
}}
"""


@contextmanager
def serving(root: Path, behind: int, work: Path) -> Iterator[int]:
    """Serve the files of `root`, and `/media/` of the server on the port `behind`; give the port.

    What nginx writes goes to `work`, its cache included. Raises LeftOutError.
    """
    program = shutil.which("nginx", path=FOLDERS)
    if not program:
        raise LeftOutError("nginx cannot be found; apt-get install nginx-light, or the like, brings it")
    work.mkdir()
    port = free_port()
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    text = CONFIGURATION.format(
        user=user, group=group, work=work, host=client.HOST, port=port, root=root, behind=behind
    )
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
