"""kt-images: the client of the web API, in a terminal and in pipes.

main --> app --> adding, getting, changing, listing, showing --> client --> HTTP
                     `--> choosing, sources, download, layout, work, progress, output

main           the entry point: whatever goes wrong becomes one sentence and an exit status
app, options   the commands, their options and their help
adding, getting, changing, listing, showing    what the commands do, one module each
client, images the service's calls, and what it tells of images
connection     HTTP: an answer, or an error in the service's own words
retry          how often it is tried again, and for how long
choosing, ids  which images are meant: by ids, from standard input, or all that match
sources        local files: which are meant, their tags and digests
download       one file: resumed, verified, put in its place in one step
layout, names  names from the service as local paths, and as text on a terminal
work           many things at once, each failure named
output, progress    stdout, stderr, and what moves on a terminal
errors         what can go wrong, and the exit status of each

Imports nothing of the server. `app` alone imports inside functions: `--help` must not wait for the HTTP client.
"""
