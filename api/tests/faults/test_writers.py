"""Many who write to one name at once: one of them is it."""

from concurrent.futures import ThreadPoolExecutor

from victim import Victim, a_picture

WRITERS = 50


def test_many_writers_to_one_name(dsn, uploads, cared_for, thorough):
    rounds = 1000 if thorough else 4
    with Victim(dsn, uploads, collect_interval=0.1, collect_grace=60) as victim, ThreadPoolExecutor(WRITERS) as pool:
        image = victim.new_image()
        for _ in range(rounds):
            pictures = [a_picture() for _ in range(WRITERS)]
            statuses = set(pool.map(lambda picture: victim.upload(image, "a", picture), pictures))
            assert statuses == {200}, victim.log()
            assert victim.download(image, "a") in pictures
    assert cared_for() == "1 row, 1 object: all is well\n"
