"""PostgreSQL: the server, the connections, the schema, and a module for each thing that is kept there.

Knows nothing of HTTP. `connection.py` alone imports aiopg.
"""
