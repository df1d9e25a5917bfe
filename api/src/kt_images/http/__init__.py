"""What any call needs, whatever it is about. No database, no files, no views.

problems, validation     errors as answers, and which fields are at fault
protocol, expect         what happens before any middleware
sites, hosts             pages of other sites, and names by which the service is called
addresses                its own URLs, below the path of a proxy
parsing                  turns of connections that have sent much
in_flight, safety        the requests being answered; headers of every answer
forms, multipart         uploads
lines                    imports
clients                  who sends them
digests, conditions      headers about the bytes of a file
sockets                  slow clients, and sendfile
"""
