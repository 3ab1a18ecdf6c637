"""Threads may use a compiled graph concurrently, also for its first requests."""

import subprocess
import sys

import pytest

CONCURRENT_FIRST_REQUESTS = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import openvino as ov
from openvino import opset13 as ops
from pipeline.engine.openvino_graph import compile_graph

pixels = ops.parameter([-1, 32, 32, 3], np.uint8)
means = ops.reduce_mean(ops.convert(pixels, np.float32), np.array([1, 2]), False)
compiled = compile_graph(ov.Model([means], [pixels], "means"), "f32")

def infer(value):
    pixels = np.full((16, 32, 32, 3), value, np.uint8)
    return compiled.create_infer_request().infer({0: pixels})[0].mean()

sys.setswitchinterval(1e-6)  # threads switch as often as they can
with ThreadPoolExecutor(2) as pool:
    assert list(pool.map(infer, range(6))) == list(range(6))
"""


@pytest.mark.slow
def test_concurrent_first_requests_do_not_deadlock() -> None:
    """Six new processes end; without the lock more than half of them hang."""
    for _ in range(6):
        subprocess.run([sys.executable, "-c", CONCURRENT_FIRST_REQUESTS], check=True, timeout=60)
