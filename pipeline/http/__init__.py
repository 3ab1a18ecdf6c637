"""HTTP connections: limits of those that our servers accept.

`connections` bounds headers, stalled responses and the number of connections of a Uvicorn server;
`limited_protocol` is its connection.

When it fails: a connection that exceeds a limit is closed and counted in the log; the server stays.
"""
