"""A Ceph cluster on the loopback, of Debian's packages: a monitor, one OSD on a file, one gateway; each may be killed.

Ceph's files are those of BlueStore, so that what the gateway has acknowledged survives the kill of any of them.
"""

import contextlib
import json
import shutil
import subprocess
import time
import uuid
from pathlib import Path

from s3 import S3
from services import port_of_its_own, wait_until

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
PACKAGES = "ceph-common ceph-mon ceph-osd radosgw"
ACCESS_KEY, SECRET = "kt-access", "kt-secret"
USER = "kt"
OSD_BYTES = 16 * 2**30  # of a file with holes

CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{port}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
mon data = {folder}/mon
osd data = {folder}/osd
# One copy on one disk, in as few groups as go; enough of the disk is free even when it looks full.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
osd memory target = 939524096
bluestore block size = {size}
rgw dynamic resharding = false
"""


def missing() -> str | None:
    """Why there can be no cluster here; None where there can."""
    absent = [program for program in PROGRAMS if not shutil.which(program)]
    return f"there is no {', '.join(absent)} here; Debian's packages are {PACKAGES}" if absent else None


class Ceph:
    """A cluster in a folder of its own, gone with `close()`."""

    kills = ("gateway", "osd")

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._processes = folder, dict[str, subprocess.Popen[bytes]]()
        self.port = 0
        self._monitor_port = port_of_its_own()
        self._commands = {
            "monitor": ["ceph-mon", "-i", "a"],
            "osd": ["ceph-osd", "-i", "0"],
        }
        fsid = str(uuid.uuid4())
        values = {"folder": folder, "fsid": fsid, "port": self._monitor_port, "size": OSD_BYTES}
        self._file = folder / "ceph.conf"
        self._file.write_text(CONFIGURATION.format(**values))
        (folder / "keyring").touch()
        try:
            self._make(fsid)
        except BaseException:
            self.close()
            raise

    @property
    def s3(self) -> S3:
        return S3(self.port, ACCESS_KEY, SECRET)

    def start(self, name: str) -> None:
        """Start a part that was killed, and wait until it serves again."""
        command = [*self._commands[name], "-f", "-c", str(self._file)]
        with (self._folder / f"{name}.out").open("ab") as log:
            self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        wait_until(self.answers, 90) if name == "gateway" else None

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str, number: int) -> None:
        """Send a signal that ends nothing: SIGSTOP, SIGCONT."""
        self._processes[name].send_signal(number)

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.s3.call("GET", "/")[0] < 500
        return False

    def admin(self, *arguments: str) -> str:
        """Have radosgw-admin do something; return what it says."""
        return self._run("radosgw-admin", *arguments)

    def close(self) -> None:
        for name in ("gateway", "osd", "monitor"):
            if process := self._processes.pop(name, None):
                process.kill()
                process.wait()

    def _make(self, fsid: str) -> None:
        address, monmap = f"[v1:127.0.0.1:{self._monitor_port}]", str(self._folder / "monmap")
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monmap)
        (self._folder / "mon").mkdir()
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
        self.start("monitor")
        osd = str(uuid.uuid4())
        self._run("ceph", "--connect-timeout", "30", "osd", "new", osd)
        (self._folder / "osd").mkdir()
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.start("osd")
        wait_until(self._has_disk, 60)
        self.port = port_of_its_own()
        frontend = f"beast endpoint=127.0.0.1:{self.port}"
        self._commands["gateway"] = ["radosgw", "-n", "client.gateway", f"--rgw-frontends={frontend}"]
        self.start("gateway")
        keys = ("--access-key", ACCESS_KEY, "--secret", SECRET)
        self.admin("user", "create", "--uid", USER, "--display-name", "kt-images", *keys)

    def _has_disk(self) -> bool:
        # A monitor that is new refuses now and then.
        with contextlib.suppress(AssertionError):
            return bool(json.loads(self._run("ceph", "osd", "stat", "-f", "json"))["num_up_osds"])
        return False

    def _run(self, program: str, *arguments: str) -> str:
        command = [program, *arguments, "-c", str(self._file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=self._folder)
        assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
        return done.stdout


if __name__ == "__main__":
    started = time.monotonic()
    ceph = Ceph(Path("/tmp/ceph-trial"))
    print("up", time.monotonic() - started)
    s3 = ceph.s3
    s3.make_bucket("bucket")
    s3.put("bucket", "a/b c", b"12")
    print(list(s3.objects("bucket")), s3.get("bucket", "a/b c"), s3.unfinished("bucket"))
    for name in ("gateway", "osd"):
        started = time.monotonic()
        ceph.kill(name)
        ceph.start(name)
        s3.put("bucket", "x", b"34")
        print(name, "back", time.monotonic() - started)
    s3.remove_bucket("bucket")
    ceph.close()
