"""The order of what an upload does, from the system calls themselves: a power cut cannot be had here."""

import re

from pictures import drawn
from victim import Victim

SEEN = "trace=/^(fsync|fdatasync|rename.*|mkdir.*|sendto)$"


def test_what_is_acknowledged_is_on_the_disk_before_its_row_is_committed(strace, dsn, uploads, tmp_path):
    log = tmp_path / "log"
    with Victim(dsn, uploads) as victim:
        first, second = victim.new_image(), victim.new_image()
        assert victim.upload(first, "a", drawn("PNG")) == 200
        with victim.traced(victim.loop_thread() + victim.file_threads(), "-y", "-s", "600", "-o", str(log), "-e", SEEN):
            assert victim.upload(second, "a", drawn("PNG")) == 200
    lines = log.read_text().splitlines()

    def place(pattern, after=-1):
        for number, line in enumerate(lines):
            if number > after and re.search(pattern, line):
                return number
        raise AssertionError(f"{pattern} is not there after line {after} of:\n" + "\n".join(lines))

    file_synced = place(rf"fsync\(\d+<{uploads}/incoming/\w+>")
    made = place(rf'mkdir\w*\(.*"{uploads}/objects/{second:03}"')
    made_lasting = place(rf"fsync\(\d+<{uploads}/objects>", made)
    renamed = place(rf'rename\w*\(.*"{uploads}/incoming/\w+".*"{uploads}/objects/{second:03}/', file_synced)
    folder_synced = place(rf"fsync\(\d+<{uploads}/objects/{second:03}>", renamed)
    row = place(r"sendto\(.*insert into attachments", max(folder_synced, made_lasting))
    place(r"sendto\(.*successfully stored", row)
    assert sum("/incoming/" in line and "fsync" in line for line in lines) == 1
    assert not any("insert into attachments" in line for line in lines[:row])
