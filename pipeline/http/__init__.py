"""HTTP: clients behind proxies, and limits of the connections that our servers accept.

`client` opens an httpx client for a server; `proxies` finds the proxy of the environment for an
address. `connections` bounds headers, stalled responses and the number of connections of a Uvicorn
server; `limited_protocol` is its connection.

When it fails: InvalidInputError names the variable of a proxy that cannot be used. A connection
that exceeds a limit is closed and counted in the log; the server stays.
"""
