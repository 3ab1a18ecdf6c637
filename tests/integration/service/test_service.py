"""A real BentoML process over HTTP that follows a pointer in a local store."""

import base64
import csv
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from scipy.stats import binomtest

from pipeline.contract.prediction_log import PredictionRecord
from tests.integration.service.asking import answers, error_of
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.integration

SECRET_NAME = "Jane-Doe-1971.jpeg"


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> Iterator[tuple[str, Any, Path]]:
    """URL of a service that follows a pointer, its stage, and its folder."""
    folder = tmp_path_factory.mktemp("service")
    stage = make_stage(folder / "store")
    with serve(folder, stage.root) as url:
        assert_without_model(url)
        stage.point_to(stage.publish(folder / "first", 0))
        wait_for(lambda: answers(f"{url}/readyz"))
        yield url, stage, folder


def assert_without_model(url: str) -> None:
    """Before the first promotion: live, not ready, and 503 in our error format."""
    assert answers(f"{url}/livez")
    for answer in (
        httpx.get(f"{url}/readyz"),
        httpx.get(f"{url}/model"),
        httpx.post(f"{url}/classify", files={"image": ("x.png", b"1")}),
    ):
        assert answer.status_code == 503
        error_of(answer)


def test_classify_returns_all_fields(
    served: tuple[str, Any, Path], cell_image: Callable[..., bytes]
) -> None:
    """Label, probabilities in contract order, decision, cell, size, tag, request id."""
    url, stage, _ = served
    response = httpx.post(
        f"{url}/classify",
        files={"image": ("x.jpeg", cell_image(0))},
        headers={"x-request-id": "mine"},
    )
    assert response.status_code == 200, response.text
    answer = response.json()
    assert tuple(answer["probabilities"]) == stage.contract.classes
    assert answer["label"] == max(answer["probabilities"], key=answer["probabilities"].get)
    assert answer["decision"] == ("review" if answer["reasons"] else "accept")
    assert (answer["width"], answer["height"]) == (320, 240)
    assert answer["request_id"] == response.headers["x-request-id"] == "mine"
    assert answer["tag"] == httpx.get(f"{url}/model").json()["tag"]


def test_explain_returns_an_evidence_map(
    served: tuple[str, Any, Path], cell_image: Callable[..., bytes]
) -> None:
    """A PNG with class and model in its headers; a bad image is a 422."""
    url = f"{served[0]}/explain"
    image = cell_image(0)
    answer = httpx.post(f"{served[0]}/classify", files={"image": ("x", image)}).json()
    response = httpx.post(url, files={"image": (SECRET_NAME, image)}, timeout=60)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    assert (response.headers["x-label"], response.headers["x-tag"]) == (
        answer["label"],
        answer["tag"],
    )
    assert Image.open(io.BytesIO(response.content)).size == (384, 384)
    bad = httpx.post(url, files={"image": ("x", b"not an image")})
    assert bad.status_code == 422
    assert error_of(bad)["code"] == "invalid_image"
    assert httpx.post(url, json={"image": "http://127.0.0.1:9/x.png"}).status_code == 415


def test_a_differential_counts_cells_and_lists_failures(
    served: tuple[str, Any, Path], cell_image: Callable[..., bytes]
) -> None:
    """Four cells and a bad file: counts as by /classify, exact intervals, warnings."""
    images = [cell_image(n) for n in range(4)]
    labels = [
        httpx.post(f"{served[0]}/classify", files={"image": ("x", image)}).json()["label"]
        for image in images
    ]
    files = [("images", (SECRET_NAME, data)) for data in [*images[:2], b"no image", *images[2:]]]
    response = httpx.post(f"{served[0]}/differential", files=files, timeout=60)
    assert response.status_code == 200, response.text
    result = response.json()
    assert [share["label"] for share in result["shares"]] == list(served[1].contract.classes)
    assert {share["label"]: share["count"] for share in result["shares"] if share["count"]} == {
        label: labels.count(label) for label in labels
    }
    assert all(share["low"] <= share["percent"] <= share["high"] for share in result["shares"])
    assert result["answered"] | {"review": 0} == {"images": 4, "review": 0, "failed": 1}
    assert [(failure["index"], failure["code"]) for failure in result["failures"]] == [
        (2, "invalid_image")
    ]
    assert result["warnings"][0].startswith("Fewer than 100 cells were counted")
    assert SECRET_NAME not in response.text
    assert httpx.post(f"{served[0]}/differential", json={}).status_code == 415


def test_counted_cells_get_shares_and_warnings(served: tuple[str, Any, Path]) -> None:
    """POST /differential/shares equals SciPy's exact interval; invalid counts are a 422."""
    counts = [
        {"label": "MONOCYTE", "accepted": 3, "review": 1},
        {"label": "NEUTROPHIL", "accepted": 6, "review": 0},
    ]
    url = f"{served[0]}/differential/shares"
    result = httpx.post(url, json={"counts": counts}).json()
    exact = binomtest(4, 10).proportion_ci(0.95, "exact")
    low, high = round(100 * exact.low, 2), round(100 * exact.high, 2)
    assert result["shares"][0] == {
        "label": "MONOCYTE", "count": 4, "percent": 40.0, "low": low, "high": high, "review": 1
    }  # fmt: skip
    assert [text.split()[0] for text in result["warnings"]] == ["Fewer", "1"]
    for invalid in (-1, 1.5, False):
        bad = httpx.post(url, json={"counts": [counts[0] | {"review": invalid}]})
        assert (bad.status_code, error_of(bad)["code"]) == (422, "invalid_input")


def test_predict_accepts_folders_and_a_bad_file_fails_alone(
    served: tuple[str, Any, Path], cell_image: Callable[..., bytes], tmp_path: Path
) -> None:
    """`leukoflow predict` on a folder: one line per file in order; exit code 2 for a bad file."""
    (tmp_path / "deep").mkdir()
    for number in range(6):
        (tmp_path / "deep" / f"{number}.jpeg").write_bytes(cell_image(number % 4))
    (tmp_path / "deep" / "3.jpeg").write_text("no image")
    (tmp_path / "deep" / "notes.txt").write_text("not sent")
    command = [sys.executable, "-m", "pipeline", "predict", str(tmp_path), "--csv"]
    done = subprocess.run(
        command,
        env={**os.environ, "SERVICE_URL": served[0]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [Path(row["file"]).name for row in rows] == [f"{n}.jpeg" for n in range(6)]
    assert [bool(row["error"]) for row in rows] == [number == 3 for number in range(6)]
    (tag,) = {row["tag"] for row in rows if row["tag"]}
    assert tag == httpx.get(f"{served[0]}/model").json()["tag"]


def test_the_bentoml_client_works(
    served: tuple[str, Any, Path], cell_image: Callable[..., bytes], tmp_path: Path
) -> None:
    """`SyncHTTPClient.classify(image=Path)` works like plain HTTP."""
    import bentoml

    path = tmp_path / "cell.jpeg"
    path.write_bytes(cell_image(1))
    with bentoml.SyncHTTPClient(served[0]) as client:
        assert client.classify(image=path)["cell_found"]


@pytest.mark.field("data_url")
def test_predict_has_the_replaced_contract(
    served: tuple[str, Any, Path], cell_image: Callable[..., bytes]
) -> None:
    """Base64 in, exactly `[{"image": CLASS}]` out, and the same class as /classify."""
    url = served[0]
    image = cell_image(2)
    label = httpx.post(f"{url}/classify", files={"image": ("x", image)}).json()["label"]
    plain, url_safe = base64.b64encode(image).decode(), base64.urlsafe_b64encode(image).decode()
    texts = [
        *(plain, plain.rstrip("="), url_safe, url_safe.rstrip("=")),
        base64.encodebytes(image).decode(),
        *(f"data:image/jpeg;base64,{plain}", f"DATA:image/jpeg;charset=utf-8;BASE64,{url_safe}"),
    ]
    for text in texts:
        assert httpx.post(f"{url}/predict", json={"image": text}).json() == [{"image": label}]


def test_reviews_have_reasons(served: tuple[str, Any, Path]) -> None:
    """An empty grey photograph has no cell, and the reasons include it."""
    blank = io.BytesIO()
    Image.new("L", (200, 100), 200).save(blank, "PNG")
    answer = httpx.post(
        f"{served[0]}/classify", files={"image": ("x.png", blank.getvalue())}
    ).json()
    assert answer["decision"] == "review"
    assert "no_cell_found" in [reason["code"] for reason in answer["reasons"]]


def test_model_openapi_page_and_metrics(
    served: tuple[str, Any, Path], cell_image: Callable[..., bytes]
) -> None:
    """Model card, OpenAPI, page and metrics."""
    url, stage, _ = served
    httpx.post(f"{url}/classify", files={"image": ("x", cell_image(0))}).raise_for_status()
    card = httpx.get(f"{url}/model").json()
    assert card["contract"]["classes"] == list(stage.contract.classes)
    assert card["limits"]
    assert card["lineage"]["run_id"] == "test"
    paths = httpx.get(f"{url}/docs.json", timeout=30).json()["paths"]
    posted = {"/classify", "/differential", "/explain", "/predict", "/train"}
    assert paths.keys() >= posted | {"/model", "/readyz", "/metrics"}
    page = httpx.get(url)
    assert page.headers["content-type"].startswith("text/html")
    assert "not for diagnosis" in page.text
    assert "style=" not in page.text
    assert httpx.get(f"{url}/static/page.js").status_code == 200
    metrics = httpx.get(f"{url}/metrics").text
    assert f'leukoflow_model{{tag="{card["tag"]}"}} 1.0' in metrics
    assert "leukoflow_predictions_total{" in metrics
    assert httpx.get(f"{url}/made-up").status_code == 404
    assert "made-up" not in httpx.get(f"{url}/metrics").text


def test_train_requires_the_key_and_airflow(served: tuple[str, Any, Path]) -> None:
    """401 without the key, 422 without a reason, 503 while Airflow is unreachable."""
    url = f"{served[0]}/train"
    body = {"reason": "new labels"}
    assert error_of(httpx.post(url, json=body))["code"] == "unauthorized"
    wrong = httpx.post(url, json=body, headers={"x-api-key": "sesam"})
    assert wrong.status_code == 401
    right = {"x-api-key": "sesame"}
    assert httpx.post(url, json={}, headers=right).status_code == 422
    unreachable = httpx.post(url, json=body, headers=right, timeout=60)
    assert unreachable.status_code == 503
    assert error_of(unreachable)["code"] == "unreachable"


def test_segments_arrive_without_names_or_pixels(
    served: tuple[str, Any, Path], cell_image: Callable[..., bytes]
) -> None:
    """The record of a prediction reaches the store without file name, EXIF or pixels."""
    url, stage, folder = served
    image = Image.open(io.BytesIO(cell_image(3)))
    exif = Image.Exif()
    exif[0x010E] = SECRET_NAME
    data = io.BytesIO()
    image.save(data, "JPEG", exif=exif)
    files = {"image": (SECRET_NAME, data.getvalue(), "image/jpeg")}
    response = httpx.post(f"{url}/classify", files=files).json()

    def lines() -> list[str]:
        return [
            line
            for path in (stage.root / "logs" / "blood_cells").rglob("*.jsonl")
            for line in path.read_text().splitlines()
        ]

    wait_for(lambda: any(response["request_id"] in line for line in lines()))
    everything = "\n".join(lines()) + (folder / "service.log").read_text()
    assert "Jane-Doe" not in everything
    (mine,) = [line for line in lines() if response["request_id"] in line]
    record = PredictionRecord.model_validate_json(mine)
    assert (record.tag, record.label) == (response["tag"], response["label"])
    assert record.probabilities == {k: round(v, 5) for k, v in response["probabilities"].items()}


@pytest.mark.parametrize(
    "command",
    [("bento_service",), ("bentoml", "serve", "bento_service.service:Service")],
    ids=["ours", "bentoml serve"],
)
def test_a_baked_in_bundle_needs_no_pointer(
    command: tuple[str, ...],
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    cell_image: Callable[..., bytes],
    serve: Callable[..., AbstractContextManager[str]],
) -> None:
    """With BUNDLE_DIR the baked-in model is served; the log segment is uploaded at shutdown."""
    stage = make_stage(tmp_path / "origin")
    bundle = stage.artifacts.fetch(stage.publish(tmp_path / "built"), tmp_path / "bundle")
    store = tmp_path / "store"
    variables = {"BUNDLE_DIR": str(bundle), "LOG_SEGMENT_SECONDS": "600"}
    with serve(tmp_path, store, command, **variables) as url:
        wait_for(lambda: answers(f"{url}/readyz"))
        response = httpx.post(f"{url}/classify", files={"image": ("x", cell_image(0))}).json()
        assert httpx.get(f"{url}/model").json()["promoted"] is None
        assert not list(store.rglob("*.jsonl"))
    (segment,) = store.rglob("*.jsonl")
    assert response["request_id"] in segment.read_text()
