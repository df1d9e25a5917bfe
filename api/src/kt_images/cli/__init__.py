"""kt-images: the client of the web API, in a terminal and in pipes.

main --> app --> adding, getting, changing, listing, showing --> client --> HTTP
                     `--> progress, output, layout, work

main           the entry point: whatever goes wrong becomes one sentence and an exit status
app            the commands, their options and their help
adding, getting, changing, listing, showing    what the commands do, one module each
client         the service's calls, each tried again when that can help
retry          how often, and for how long
sources        local files: which are meant, their tags and digests
layout, names  names from the service as local paths, and as text on a terminal
ids            image ids out of arguments and standard input
work           many things at once, each failure named
output, progress    stdout, stderr, and what moves on a terminal
errors         what can go wrong, and the exit status of each

Imports nothing of the server. `app` alone imports inside functions: `--help` must not wait for the HTTP client.
"""
