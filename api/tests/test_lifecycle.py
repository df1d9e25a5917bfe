"""What is kept running beside the service does not keep it from answering."""

import asyncio
import fcntl
import os
import signal
import threading


async def test_the_service_answers_while_its_embedded_server_is_being_started_again(serve, folder):
    data = folder / "lifecycle"
    client = await serve(postgres_dsn="", database_dir=data)
    with data.with_name(data.name + ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever starts the server waits for it
        release = threading.Timer(5, fcntl.flock, (lock, fcntl.LOCK_UN))
        release.start()
        os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        await asyncio.sleep(2)
        assert (await client.get("/healthz")).status == 200
        assert (await client.get("/images/1")).status == 503
        assert release.is_alive()
        release.cancel()
    async with asyncio.timeout(20):
        while (await client.get("/readyz")).status != 200:
            await asyncio.sleep(0.05)
