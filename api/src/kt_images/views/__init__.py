"""HTTP in, HTTP out. No SQL, no files: a view reads typed arguments, asks the layers below, and answers."""
