"""The service: prediction over HTTP, its web page, and the worker that follows the pointer."""

import os

from pipeline.telemetry import silence

silence(os.environ)  # OpenVINO looks when it is imported
# Pillow's blocks of 16 MB stay with the process once they were used; larger ones go back.
os.environ.setdefault("PILLOW_BLOCK_SIZE", "64m")
