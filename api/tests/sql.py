"""A statement on a connection of its own, committed at once."""

import psycopg2


def ask(dsn, sql):
    """Return the rows of the statement."""
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall() if cursor.description else []
    connection.close()
    return rows
