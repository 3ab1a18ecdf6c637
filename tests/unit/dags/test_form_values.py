"""Values of the trigger forms as people and programs send them."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.artifacts import ArchiveManifest, SnapshotManifest
from pipeline.errors import InvalidInputError

DAGS = Path(__file__).parents[3] / "dags"


@pytest.fixture(autouse=True)
def _dags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folder of the DAGs on the path, as Airflow has it."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.syspath_prepend(DAGS)


@pytest.mark.field("form_values")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["s3://b/a.zip", ""], ["s3://b/a.zip"]),
        ([" s3://b/a.zip ", "\t", "s3://b/b.zip\r"], ["s3://b/a.zip", "s3://b/b.zip"]),
        ([None, "s3://b/a.zip"], ["s3://b/a.zip"]),
        ([], []),
        (None, []),
    ],
)
def test_lines_are_trimmed_and_blank_ones_dropped(value: Any, expected: list[str]) -> None:
    """Null is the default, as an empty field."""
    assert import_module("_form_values").texts({"archives": value}, "archives") == expected


@pytest.mark.field("form_values")
def test_another_type_is_refused_with_the_field(tmp_path: Path) -> None:
    """A number in a list of URIs is a mistake of the caller."""
    values = import_module("_form_values")
    with pytest.raises(InvalidInputError, match="field archives; expected text; received 5"):
        values.texts({"archives": [5]}, "archives")
    assert values.text({"config": " configs/a.yaml\n"}, "config") == "configs/a.yaml"
    assert values.text({"config": None}, "config") == ""


@pytest.mark.field("form_values")
@pytest.mark.parametrize("blank", [None, "", " \t"])
def test_every_text_field_accepts_blanks_and_null(blank: str | None) -> None:
    """In the form of every DAG; a list accepts null and blank lines."""
    code = (
        "import json, sys\n"
        "import blood_cell_deployment as d, blood_cell_monitoring as m, _training_form as t\n"
        "blank = json.loads(sys.argv[1])\n"
        "for params in (d.PARAMS, m.PARAMS, t.PARAMS):\n"
        "    for name, param in params.items():\n"
        "        types = param.schema['type']\n"
        "        assert 'null' in types, name\n"
        "        param.resolve(None)\n"
        "        if 'string' in types: param.resolve(blank)\n"
        "        if 'array' in types: param.resolve([blank])\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, json.dumps(blank)],
        env={**os.environ, "PYTHONPATH": f"{DAGS}:{DAGS.parent}"},
        check=True,
    )


@pytest.mark.field("form_values")
@pytest.mark.parametrize(("all_archives", "images"), [(None, 2), (["", " "], 2), (["one"], 1)])
def test_the_task_trains_on_the_archives_that_the_form_means(
    all_archives: list[str] | None,
    images: int,
    cell_image: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blanks and null mean all archives of the name, and the form's patterns are applied."""
    from pipeline.entrypoints.jobs.job import open_store

    monkeypatch.setenv("STORE_URI", str(tmp_path / "store"))
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    folder = tmp_path / "store" / "archives" / "blood_cells"
    folder.mkdir(parents=True)
    for kind, name in enumerate(("one", "two")):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            archive.writestr("NEUTROPHIL/a.jpeg", cell_image(kind))
            archive.writestr("masks/a.jpeg", cell_image(kind, shift=4))
    named = [f" {folder / line}.zip " if line.strip() else line for line in all_archives or ()]
    form: dict[str, Any] = {
        "config": " configs/blood_cells.yaml ",
        "archives": named if all_archives else None,
        "include": [" NEUTROPHIL/** ", ""],
        "exclude": None,
        "limit": None,
        "only_check": None,
    }
    pushed: dict[str, str] = {}
    context = {
        "params": form,
        "dag_run": SimpleNamespace(run_type="manual", run_id="r"),
        "ti": SimpleNamespace(xcom_push=pushed.__setitem__),
    }
    uri = import_module("_training_tasks").ingest.function(**context)
    assert pushed == {"config": "configs/blood_cells.yaml"}
    snapshot = open_store().open(uri, SnapshotManifest)
    assert snapshot.manifest.counts["images"] == images
    archives = [open_store().open(ref.uri, ArchiveManifest) for ref in snapshot.manifest.archives]
    assert [one.manifest.left_out.skipped["not matched by ingest.include"] for one in archives] == [
        1
    ] * images
