"""The gallery: the web page that the service serves at `/`, over the public API alone.

`static/` has the page, its styles and its modules, a file for each thing that is seen or known; `assets.py` makes them
ready to be sent. They are what a browser runs: nothing is compiled, bundled or fetched from elsewhere.
"""
