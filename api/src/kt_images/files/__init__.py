"""Bytes on disk. Knows nothing of HTTP and nothing of SQL."""
