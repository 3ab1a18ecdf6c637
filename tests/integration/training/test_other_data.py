"""Training and serving eight classes, half of them TIFF, by a config file and a manifest."""

import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from pipeline.artifacts import ServedManifest, SplitManifest
from pipeline.contract.decoding import decode
from pipeline.demo.traffic import wait_for_model
from pipeline.entrypoints import promotion, verdicts
from pipeline.entrypoints.jobs.job import open_store
from pipeline.sample.archive import Member, write_archive
from tests.integration.page.chromium import NEEDED, chromium, resize, screenshot, shown
from tests.integration.training.trained import RUN, Trained, train_on, variables, write_config

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DECISION = {"author": "test", "reason": "eight classes"}

SIZE = (360, 363)
"""Width and height of the public peripheral blood set of eight classes."""


def _eight_classes(folder: Path) -> tuple[Path, list[str]]:
    """An archive of four classes in two stains, JPEG and TIFF, with its `manifest.csv`."""
    members = write_archive(folder / "four.zip", seed=5, cells_per_class=6, copies=3)
    rows, classes = io.StringIO(), set()
    table = csv.writer(rows)
    table.writerow(["file", "label", "group"])
    path = folder / "eight.zip"
    with zipfile.ZipFile(folder / "four.zip") as four, zipfile.ZipFile(path, "w") as eight:
        for member in members:
            for stain in ("pale", "dark"):
                label = f"{stain}_{member.label.lower()}"
                suffix = {"pale": "jpg", "dark": "tif"}[stain]
                file = f"peripheral/{label}/{Path(member.file).stem}.{suffix}"
                eight.writestr(file, _stained(four.read(member.file), stain))
                table.writerow([file, label, _group(member, stain)])
                classes.add(label)
        eight.writestr("manifest.csv", rows.getvalue())
    return path, sorted(classes)


def _stained(data: bytes, stain: str) -> bytes:
    """The image with a darker stain as TIFF, or with a paler one as JPEG."""
    pixels = decode(data).astype(np.float64)
    stained = pixels * 0.8 if stain == "dark" else 255 - (255 - pixels) * 0.8
    out = io.BytesIO()
    image = Image.fromarray(stained.astype(np.uint8)).resize(SIZE)
    if stain == "dark":
        image.save(out, "TIFF")
    else:
        image.save(out, "JPEG", quality=95)
    return out.getvalue()


def _group(member: Member, stain: str) -> str:
    return f"slide-{stain}-{member.cell}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training on eight classes."""
    folder = tmp_path_factory.mktemp("other")
    archive, classes = _eight_classes(folder)
    write_config(folder / "tiny.yaml")
    body = yaml.safe_load((folder / "tiny.yaml").read_text())
    body["contract"] |= {"name": "peripheral", "classes": classes}
    body["gate"] |= {"min_balanced_accuracy": 0.05, "min_class_cells": 2}
    body["split"] = {"test_share": 0.34, "val_share": 0.2}
    (folder / "peripheral.yaml").write_text(yaml.safe_dump(body))
    unreachable = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    return train_on(folder, archive, folder / "peripheral.yaml", unreachable)


@pytest.mark.field("tiffs")
def test_the_contract_has_eight_classes(trained: Trained) -> None:
    """The gate passes the model."""
    with variables(trained.environment):
        assert verdicts.passed(trained.verdict)
        served = open_store().open(trained.served, ServedManifest).manifest
    assert served.tag.startswith("peripheral:")
    assert len(served.contract.classes) == 8


def test_groups_of_the_manifest_are_kept(trained: Trained) -> None:
    """Each group is in one part of the split."""
    with variables(trained.environment):
        store = open_store()
        records = store.records(store.open(trained.split, SplitManifest))
    assert all(record.group.startswith("slide-") for record in records)
    assert len({record.group for record in records}) == 48
    assert len({(record.group, record.part) for record in records}) == 48


@pytest.fixture(scope="module")
def served(
    trained: Trained,
    tmp_path_factory: pytest.TempPathFactory,
    serve: "Callable[..., AbstractContextManager[str]]",
) -> Iterator[tuple[str, ServedManifest, Path]]:
    """URL of a service with the eight classes, its manifest, and an image."""
    with variables(trained.environment):
        promotion.promote(trained.config, RUN, trained.verdict, DECISION, untracked=True)
        served = open_store().open(trained.served, ServedManifest).manifest
    folder = tmp_path_factory.mktemp("eight")
    with zipfile.ZipFile(Path(trained.config).parent / "eight.zip") as opened:
        (folder / "x.jpg").write_bytes(opened.read(opened.namelist()[0]))
    with serve(folder, Path(trained.environment["STORE_URI"]), MODEL_NAME="peripheral") as url:
        wait_for_model(url, served.tag)
        yield url, served, folder / "x.jpg"


def test_the_service_has_the_classes_of_the_contract(
    served: tuple[str, ServedManifest, Path],
) -> None:
    """A response has eight probabilities, in the contract's order."""
    url, manifest, image = served
    files = {"image": ("x.jpg", image.read_bytes())}
    response = httpx.post(f"{url}/classify", files=files).json()
    assert tuple(response["probabilities"]) == manifest.contract.classes
    assert (
        tuple(httpx.get(f"{url}/model").json()["contract"]["classes"]) == manifest.contract.classes
    )


@pytest.mark.chromium
@NEEDED
def test_the_page_has_the_classes_of_the_contract(served: tuple[str, ServedManifest, Path]) -> None:
    """One bar per class, in the contract's order."""
    url, manifest, image = served
    assert [name.upper().replace(" ", "_") for name in _bars(url, image)] == [
        name.upper() for name in manifest.contract.classes
    ]


def _bars(url: str, image: Path) -> list[str]:
    """Names of the bars that the page shows for an image, from top to bottom."""
    with chromium() as browser:
        resize(browser, 1280)
        browser.get(url)
        browser.find_element(By.ID, "files").send_keys(str(image))
        WebDriverWait(browser, 30).until(lambda _: shown(browser, "#bars .name"))
        screenshot(browser, "page-eight-classes", 1280)
        return shown(browser, "#bars .name")
