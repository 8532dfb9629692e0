"""The control API: HTTP over a Unix socket, by which the command line asks the daemon."""
