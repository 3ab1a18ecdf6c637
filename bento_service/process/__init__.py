"""Life of a worker process: background threads, reachability logging, graceful shutdown.

`periodic` runs an action in a thread, `reachability` logs when a dependency becomes unreachable and
when it recovers, `graceful_shutdown` handles SIGTERM.

When it fails: a worker that cannot shut down in 28 s exits by itself; the supervisor
(`python -m bento_service`) starts another one.
"""
