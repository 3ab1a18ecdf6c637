"""Benchmarks of the service over HTTP, of its engine, and of its stages.

Parts: `serving` (with `stages`, `peak`, `start_time` and the baselines `replaced_app` and
`bare_service`), `overload` (with `arrivals` and `graceful_shutdown`), `preparation` and
`installed_size`. `promoted` trains the model, `served` runs the service, `clients` sends requests.
`RuntimeError`: a process did not start or a request failed; its output says why.
"""
