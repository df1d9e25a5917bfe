"""A database whose processes are stopped."""

import contextlib
import signal

import psutil


@contextlib.contextmanager
def stopped(data):
    """Stop every process of the server on that folder, as they are when their disk has no answer."""
    postmaster = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(processes):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
