"""PostgreSQL. Knows nothing of HTTP.

database      the primary and its replicas, each with its pools and its shared statements
shared        the statements that concurrent requests share, each through a batcher
certain       transactions whose outcome is found out when the answer to COMMIT is lost
pool          connections that requests share
connection    a session: limits, statements, transactions
driver        a session as the event loop sees it; alone imports aiopg
hosts         the addresses of a connection string
failures      what PostgreSQL reports, as the errors that the rest of the service knows

selection     the filters as one WHERE clause
stream        a list, of images or of tags: chunks read ahead of the client; its cursor and chunk_size
bulk          changes of many images, in parts

embedded      a server of our own: the child is a postmaster, on a data_folder, behind a socket_folder; programs are run

schema, stores, images, tags, attachments, orphans, snapshot    what is kept, a module each
"""
