"""What any call needs, whatever it is about. No database, no files, no views.

problems, validation     errors as answers, and which fields are at fault
protocol, expect         what happens before any middleware
parsing                  turns of connections that have sent much
watching                 what is kept of each request
in_flight, safety        the requests being answered; headers of every answer
forms, multipart         uploads
lines                    imports
clients                  who sends them
digests, conditions      headers about the bytes of a file
sockets                  slow clients, and sendfile
"""
