"""Backups of a service under load: what each holds is what there was at one moment."""

import hashlib
import itertools
import shutil
import subprocess
import sys
import threading
from collections import defaultdict

import psycopg2

from victim import Victim, a_picture

WRITERS = 4


def command(name, dsn, uploads, *arguments):
    flags = ["--postgres_dsn", dsn, "--uploads_dir", str(uploads), *arguments]
    answer = subprocess.run(
        [sys.executable, "-m", f"kt_images.manage.{name}", *flags], check=False, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def stored(dsn):
    """The SHA-256 of each attachment, by its image and name."""
    connection = psycopg2.connect(dsn)
    with connection.cursor() as cursor:
        cursor.execute("select image_id, filename, sha256 from attachments")
        found = {(image, name): sha256 for image, name, sha256 in cursor}
    connection.close()
    return found


def test_backups_under_load_miss_nothing(dsn, new_database, uploads, tmp_path, thorough, cared_for):
    archive, restored = tmp_path / "backup.tar", tmp_path / "restored"
    rounds = 20 if thorough else 2
    tried = defaultdict(list)  # (image, name) -> the SHA-256s of all uploads, in their order
    acknowledged, compared, over = 0, 0, threading.Event()

    def write(victim, image):
        nonlocal acknowledged
        for number in itertools.count():
            place, content = (image, f"{number % 5}"), a_picture(40 + number % 200)
            tried[place].append(hashlib.sha256(content).hexdigest())
            assert victim.upload(*place, content) == 200
            acknowledged += 1
            going = victim.new_image()
            assert victim.upload(going, "a", a_picture()) == 200
            assert victim.call(f"/images/{going}", method="DELETE")[0] == 204
            if over.is_set():
                return

    with Victim(dsn, uploads, collect_interval=0.2, collect_grace=60) as victim:
        images = [victim.new_image() for _ in range(100)]
        for image in images:
            assert victim.upload(image, "still", a_picture()) == 200
        still = stored(dsn)
        threads = [threading.Thread(target=write, args=(victim, image)) for image in images[:WRITERS]]
        for thread in threads:
            thread.start()
        try:
            for _ in range(rounds):
                done = {
                    place: max(len(each) - 1, 0) for place, each in list(tried.items())
                }  # the last may be under way
                before = stored(dsn)
                command("backup", dsn, uploads, str(archive))
                empty = new_database("restored")
                command("restore", empty, restored, str(archive))
                command("check", empty, restored, "--deep", "--grace", "0")
                found = stored(empty)
                assert still.items() <= found.items()
                assert {place for place in before if place[0] in images} <= found.keys()
                for place in found.keys() & set(tried):
                    assert found[place] in {before.get(place), *tried[place][done.get(place, 0) :]}
                compared += len(found)
                archive.unlink()
                shutil.rmtree(restored)
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert acknowledged > rounds
    print(f"{rounds} backups beside {acknowledged} uploads, {compared} files compared; {cared_for()}", end="")
