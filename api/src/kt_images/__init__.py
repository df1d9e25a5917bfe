"""A web service that stores images and their tags, streams searches, and never reports more than it has done.

HTTP  --> application --> views --> uploads --> database --> PostgreSQL
              |             |          `------> files    --> disk or bucket
             http           `-----------------> both
shell --> manage --> database | files           shell --> cli --> client --> HTTP

serving         the processes: one that serves, or a supervisor and its workers
application     all routes and middlewares, on one screen
lifecycle       what is opened at the start and closed at the end
views           a module for each resource: typed arguments in, an answer out
http            what any call needs, whatever it is about: errors, forms, conditions, sockets
uploads         a file's way from a request into the store and the database
collector       removes the objects of orphans
counting        brings the counts of tags up to date
sampling        asks now and then for what is measured but costs something to ask for
pairing         which store belongs to which database
access          who may call: keys, and the gate in front of every call
readiness       whether requests can be served, and what is worse than it should be
shielding       runs a step to completion even if the caller is cancelled
background      work that runs beside something else
kinship         children that end with their parent
shares          what each of several workers may use
database        PostgreSQL: driver, pools, statements that requests share, schema, a module for each table, lists
files           the stores (a disk, a bucket) and their keys, files on their way in, pictures and thumbnails
fixtures        the schema, as SQL
migrations      how the schema has changed since release 0.1.0, as SQL
manage          commands for whoever runs the service
client          the Python client of the API, for anybody's programs
cli             kt-images, the command line, on top of client
models          the nouns: images, tags, attachments, changes of many, imports, scopes, errors
fields          the types of their fields, which normalise what comes from outside
errors          what can go wrong, in sentences that a client may read
exposition      the metrics as Prometheus reads them, of all processes
presence        a line when something that is needed goes, and one when it is back
metrics         what is counted and measured
logs            how a line is written, and the request that it belongs to
base_settings   the environment and the command line, as one frozen object
__main__, wsgi  the ways in

Imports follow the arrows, never back and never across. The nouns, their fields, errors and settings are everybody's.
"""
