"""The service beside its peers: same data, same machine, same run.

`make bench` runs all of it; `python -m benchmarks --help`, in the folder `api`, tells how to run a part.

    __main__      the arguments, and which measurements there are: a row more is a function more in its table
    data          the database that everybody reads: images and tags out of a fixed seed
    contestants   the service and its peer, each a process of its own
    peer          FastAPI, asyncpg and orjson: what most would write today
    limits        PostgreSQL alone: COPY by psql
    client        plain sockets that cost next to nothing
    rows          what a measurement gives: a target, and a value for each round
    lists, memory, single, readers   the measurements
    report        the table and the plot in README.md
"""
