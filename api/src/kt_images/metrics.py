"""What is counted and measured, for Prometheus. Whoever does the work adds to these; `exposition.py` answers with them.

With `PROMETHEUS_MULTIPROC_DIR` in the environment before this module is imported, the library keeps the values in
files of that folder, for all processes that share it: there counters and gauges of all processes are added up, except
where `of_all` says otherwise. Labels have few values, all of them known beforehand.
"""

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

# When each series began: as many series again, which nobody asks for.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


def _counter(name: str, what: str, *labels: str) -> Counter:
    return Counter(name, what, labels, registry=REGISTRY)


def _gauge(name: str, what: str, *labels: str, of_all: str = "livesum") -> Gauge:
    return Gauge(name, what, labels, registry=REGISTRY, multiprocess_mode=of_all)  # type: ignore[arg-type]  # a Literal


# Requests.
REQUEST_SECONDS = Histogram(
    "kt_images_request_seconds",
    "Requests by method, route and status, and the seconds from their heads to the last byte of their answers; "
    "left: the client went before, broken: the service ended the answer early",
    ("method", "route", "status"),
    buckets=SECONDS,
    registry=REGISTRY,
)
IN_FLIGHT = _gauge("kt_images_requests_in_flight", "Requests that are being answered")
SENT_BYTES = _counter("kt_images_sent_bytes_total", "Bytes of answers, heads included")
CONNECTIONS_REFUSED = _counter("kt_images_connections_refused_total", "Connections closed because descriptors run out")
KEY_REFUSALS = _counter("kt_images_key_refusals_total", "Requests refused for want of a fitting key", "reason")

# Lists.
LISTS_RUNNING = _gauge("kt_images_lists_running", "Lists that are being sent")
LIST_ROWS = _counter("kt_images_list_rows_total", "Rows sent in lists")
LIST_BYTES = _counter("kt_images_list_bytes_total", "Bytes sent in lists")
LEASES_TAKEN_BACK = _counter(
    "kt_images_leases_taken_back_total", "Times that a list gave its connection back because its client did not read"
)

# The database.
UP = _gauge("kt_images_up", "Whether the database, the replicas, the store could be reached", "what", of_all="livemin")
POOL_SIZE = _gauge("kt_images_pool_size", "Connections that a pool may have", "pool")
POOL_LENT = _gauge("kt_images_pool_lent", "Connections that a pool has lent", "pool")
POOL_WAITING = _gauge("kt_images_pool_waiting", "Those who wait for a connection of a pool", "pool")
POOL_WAIT_SECONDS = Histogram(
    "kt_images_pool_wait_seconds",
    "Seconds that those who found all connections lent waited for one, in vain or not",
    ("pool",),
    buckets=SECONDS,
    registry=REGISTRY,
)
POOL_TIMEOUTS = _counter("kt_images_pool_timeouts_total", "Waits for a connection that were in vain", "pool")
REPLICA_LAG_SECONDS = _gauge(
    "kt_images_replica_lag_seconds", "Seconds by which the replica in use is behind, when last asked", of_all="livemax"
)
TAG_CHANGES = _gauge(
    "kt_images_tag_changes_pending", "Changes not yet in the counts of tags; 100000: as many or more", of_all="livemax"
)

# Files.
UPLOADS_RUNNING = _gauge("kt_images_uploads_running", "Uploads that are being received, decoded or stored")
UPLOADS = _counter(
    "kt_images_uploads_total",
    "Uploads by what became of them: stored, merged, refused, failed (the service's fault), left (the client went)",
    "result",
)
STORED_BYTES = _counter("kt_images_stored_bytes_total", "Bytes of the files that were stored")
PICTURES_DECODING = _gauge("kt_images_pictures_decoding", "Pictures that are being decoded")
PICTURES_WAITING = _gauge("kt_images_pictures_waiting", "Pictures that wait for their turn to be decoded")
DECODERS_LOST = _counter("kt_images_decoders_lost_total", "Processes that did not survive a picture")
THUMBNAILS_MADE = _counter("kt_images_thumbnails_made_total", "Thumbnails made")
STORE_FREE_BYTES = _gauge(
    "kt_images_store_free_bytes", "Bytes that the service may still write to the store", of_all="livemin"
)
STORE_SIZE_BYTES = _gauge("kt_images_store_size_bytes", "Bytes of the disk that has the store", of_all="livemax")
COLLECTOR_LAST_RUN = _gauge(
    "kt_images_collector_last_run_timestamp_seconds", "When the collector last ran to its end; 0: not yet", of_all="max"
)
COLLECTOR_REMOVED = _counter("kt_images_collector_removed_total", "Objects that the collector removed")
COLLECTOR_FAILURES = _counter("kt_images_collector_failures_total", "Runs of the collector that failed")

# The processes. The library measures one; here those that serve are added up.
PROCESSES = _gauge("kt_images_processes", "Processes that serve")
CPU_SECONDS = _counter("process_cpu_seconds_total", "Processor seconds of those processes")
# By the names that the library gives them.
OF_PROCESS = {
    one: _gauge(one, what, of_all=of_all)
    for one, what, of_all in (
        ("process_resident_memory_bytes", "Resident memory of those processes", "livesum"),
        ("process_virtual_memory_bytes", "Virtual memory of those processes", "livesum"),
        ("process_open_fds", "Descriptors that those processes have open", "livesum"),
        ("process_max_fds", "Descriptors that one of them may have open", "livemin"),
        ("process_start_time_seconds", "When the first of them was started", "livemin"),
    )
}
