"""A web service that stores images and their tags, streams searches, and never reports more than it has done.

HTTP  --> application --> views --> uploads --> database --> PostgreSQL
              |             |          `------> files    --> disk
             http           `-----------------> both
shell --> manage --> database | files           shell --> cli --> client --> HTTP

application     all routes and middlewares, on one screen
lifecycle       what is opened at the start and closed at the end
views           a module for each resource: typed arguments in, an answer out
http            what any call needs, whatever it is about: errors, forms, conditions, sockets
uploads         a file's way from a request into the store and the database
collector       removes the objects of orphans
counting        brings the counts of tags up to date
pairing         which store belongs to which database
access          who may call: keys, and the gate in front of every call
shielding       runs a step to completion even if the caller is cancelled
database        PostgreSQL: driver, pools, statements that requests share, schema, a module for each table, lists
files           the store and its keys, files on their way in, pictures and thumbnails
fixtures        the schema, as SQL
migrations      how the schema has changed since release 0.1.0, as SQL
manage          commands for whoever runs the service
client          the Python client of the API, for anybody's programs
cli             kt-images, the command line, on top of client
models          the nouns: images, tags, attachments, changes of many, imports, scopes, errors
fields          the types of their fields, which normalise what comes from outside
errors          what can go wrong, in sentences that a client may read
logs            warnings that a crowd causes, once a second
base_settings   the environment and the command line, as one frozen object
__main__, wsgi  the ways in

Imports follow the arrows, never back and never across. The nouns, their fields, errors and settings are everybody's.
"""
