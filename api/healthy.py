"""`python3 healthy.py /readyz`: exit with 0 if the service in this container answers so.

The image has no curl; and http.client, unlike urllib, ignores the proxies of the environment.
"""

import sys
from http import HTTPStatus
from http.client import HTTPConnection

connection = HTTPConnection("127.0.0.1", 8080)
connection.request("GET", sys.argv[1])
sys.exit(connection.getresponse().status != HTTPStatus.OK)
