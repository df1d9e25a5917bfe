"""kt-images: the command line, on top of the Python client.

main --> app --> commands --> adding, getting, changing, listing, showing --> kt_images.client --> HTTP
                                 `--> choosing, lookup, work, progress, output

main           the entry point: every failure becomes one sentence and an exit status
app            all commands on one screen
commands       their options and help
options        the options that several commands have
numbers        the numbers among them
adding, getting, changing, listing, showing, importing, exporting, tagging, access, keys    the work of the commands
matching       the work of `rename-tag`, and of `tag` and `rm` on all images that match filters
choosing, ids  which images a command is for
filtering      the options that choose them by filters
completing     tags that the shell completes
lines          the lines that are imported
sources        which local files are added, with which tags
lookup         which of them the service holds already
tags           tags as the service compares them
layout, names  the service's names as local paths, and as text on a terminal
service, keychain    the client of the service, with the key that is kept for it
work           the calls of a command, one by one or many at once
failures       the client's errors as sentences and exit statuses
output, progress    standard output, standard error, and progress on a terminal
errors         failures with their exit statuses

Imports kt_images.client and nothing of the server. `main`, `app` and `commands` import inside functions: `--help` must
not wait for the HTTP client.
"""
