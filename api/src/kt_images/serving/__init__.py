"""The processes that serve: one, or a supervisor and its workers.

    __main__ --> server              one process, from its start until its last request is answered
        |
        '------> supervisor --> child ~~~> worker --> server      with --workers
                     |
                     '--> the embedded database, if there is no DSN

The supervisor binds a place, a set of listening sockets, for each worker and keeps them all open: the kernel spreads
connections over the places, and whoever comes while a worker is away waits for the next one or is served by another.
"""
