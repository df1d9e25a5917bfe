"""kt-images: stores images and their tags and gives them back as fast as the hardware can.

client --> application --> views --> uploads --> database --> PostgreSQL
                             |          `------> files    --> disk
                             `-----------------> both
application --> collector --> database | files
shell  --> manage --> all of these but the views      shell --> cli --> HTTP

application    the routes
lifecycle      what is opened at the start and closed at the end
views          HTTP in, HTTP out
http           what any call needs, whatever it is about
uploads        the one step that needs both floors below, in order
pairing        which store belongs to which database
collector      the removal of files that no row names any more
database       PostgreSQL: connections, schema, images, the stream of a list, attachments
files          the store, what is in a picture, and smaller pictures
fixtures       the schema, as SQL
migrations     the way there from earlier releases
manage         commands for whoever runs the service
shielding      steps that are never left half done
cli            kt-images, the client of the web API; imports nothing of the others, nor they of it
models, fields, errors, base_settings    the words everybody shares

Imports run down this picture, never up and never across.
"""
