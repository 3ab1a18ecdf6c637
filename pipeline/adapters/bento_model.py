"""`python -m pipeline.adapters.bento_model TAG FOLDER LABELS_JSON`: save into `$BENTOML_HOME`.

A process of its own, because BentoML reads its home and its telemetry switch once per process.
"""

import json
import shutil
import sys

import bentoml


def main(tag: str, folder: str, labels: str) -> None:
    """Copy a folder into a new model of the store, by BentoML's own means."""
    with bentoml.models.create(tag, labels=json.loads(labels)) as model:
        shutil.copytree(folder, model.path, dirs_exist_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
