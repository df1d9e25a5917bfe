"""The commands: their options and their help. The work is done by modules that a command imports when it runs.

changing    add, tag, rename, rm
reading     list, show, get, open
running     serve, completion
"""
