"""Benchmarks of the service over HTTP, of its engine, and of its stages.

Parts: `serving` (with `stages`, `engine_utilisation`, `start_time` and the baselines `replaced_app`
and `bare_service`), `overload` (with `arrivals` and `graceful_shutdown`), `preparation` and
`installed_size`. `promoted_model` trains the model, `running_service` starts the service, `clients`
sends requests.
`RuntimeError`: a process did not start or a request failed; its output says why.
"""
