"""One module a verb of the command line: the function behind it."""
