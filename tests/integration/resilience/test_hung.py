"""A model that hangs on some images, in a real BentoML process."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from bento_service.inference.work_queue import THREADS
from tests.integration.service.asking import answers, error_of, status, worker_of
from tests.integration.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TIMEOUT_S = 2.0


def hang_on_white(folder: Path) -> None:
    """Make the model of a bundle loop forever on white images."""
    import openvino as ov
    from openvino import opset13 as ops

    model = ov.Core().read_model(folder / "model.xml")
    (image,) = model.get_parameters()
    dark = ops.reduce_min(ops.convert(image, "i32"), np.arange(4), keep_dims=False)
    white = ops.equal(dark, ops.constant(255, np.int32))
    turns = ops.select(white, ops.constant(2**31 - 1, np.int32), ops.constant(0, np.int32))

    square = ops.parameter([256, 256], np.float32)
    step = ops.tanh(ops.matmul(square, square, False, False))
    again = ops.constant(True)
    body = ov.Model([again, step], [square])
    loop = ops.loop(turns, ops.constant(True))
    loop.set_function(body)
    loop.set_special_body_ports([-1, 0])
    start = ops.constant(np.eye(256, dtype=np.float32))
    loop.set_merged_input(square, start.output(0), step.output(0))
    worked = loop.get_iter_value(step.output(0), -1)
    trace = ops.multiply(ops.reduce_max(worked, np.array([0, 1])), ops.constant(np.float32(1e-30)))

    probabilities, embedding = (result.input_value(0) for result in model.get_results())
    hanging = ov.Model(
        [ops.add(probabilities, trace), ops.add(embedding, trace)], [image], "hangs_on_white"
    )
    for place, name in enumerate(("probabilities", "embedding")):
        hanging.output(place).get_tensor().set_names({name})
    ov.save_model(hanging, folder / "hanging.xml", compress_to_fp16=False)
    for ending in (".xml", ".bin"):
        (folder / "hanging").with_suffix(ending).replace(folder / f"model{ending}")


def test_a_worker_that_hangs_is_not_ready_and_is_replaced(
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    cell_image: Callable[..., bytes],
    serve: Callable[..., AbstractContextManager[str]],
) -> None:
    """Clients get 504, /readyz 503, and a new worker then classifies the same images."""
    stage = make_stage(tmp_path / "store")
    stage.point_to(stage.publish(tmp_path / "bundle", change=hang_on_white))
    white = io.BytesIO()
    Image.new("L", (64, 64), 255).save(white, "PNG")

    with serve(tmp_path, stage.root, ANSWER_SECONDS=f"{TIMEOUT_S}") as url:

        def classify(image: bytes) -> httpx.Response:
            return httpx.post(f"{url}/classify", files={"image": ("x", image)}, timeout=60)

        wait_for(lambda: answers(f"{url}/readyz"))
        before = classify(cell_image(0)).json()
        hanging = worker_of(url)
        with ThreadPoolExecutor(THREADS) as pool:
            for answer in pool.map(classify, [white.getvalue()] * THREADS):
                assert answer.status_code == 504
                assert error_of(answer)["expected"] == f"a response within {TIMEOUT_S:g} seconds"
        assert hanging.is_running()
        wait_for(lambda: status(f"{url}/readyz") == 503, TIMEOUT_S)
        wait_for(lambda: not hanging.is_running(), 2 * TIMEOUT_S + 15)
        wait_for(lambda: answers(f"{url}/readyz"), 60)
        after = classify(cell_image(0)).json()
        assert after["probabilities"] == before["probabilities"]
