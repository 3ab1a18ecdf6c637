"""The service: prediction over HTTP, its web page, and the worker that follows the pointer.

`__main__` (supervisor process) starts `worker` (server process), which serves the routes of
`service` (BentoML) and `http.routes`. They call `worker_state`: model, queue and prediction log.
"""

from pipeline.telemetry import configure_process

# Before OpenVINO and Pillow are imported, which read the environment then. Pillow keeps blocks of
# 16 MB once it used them; it returns larger ones to the system.
configure_process(PILLOW_BLOCK_SIZE="64m")
