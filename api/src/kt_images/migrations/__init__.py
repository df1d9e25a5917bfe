"""Changes of the schema since release 0.1.0, as SQL, in the order in which they are applied.

A migration leaves what the fixtures make of an empty database; a test compares both. Its first lines say how long it
takes on ten million rows, and what it locks. A database may have lacked `02_create-index.sql` until now and so have
today's indexes already: indexes are dropped with `if exists` and created with `if not exists`.
"""
