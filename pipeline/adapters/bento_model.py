"""`python -m pipeline.adapters.bento_model TAG FOLDER LABELS_JSON`: save a BentoML model.

Runs in its own process, because BentoML reads BENTOML_HOME once per process.
"""

import json
import shutil
import sys

import bentoml


def main(tag: str, folder: str, labels_json: str) -> None:
    """Copy a folder into a new model of the store in `$BENTOML_HOME`; fails if the tag exists."""
    with bentoml.models.create(tag, labels=json.loads(labels_json)) as model:
        shutil.copytree(folder, model.path, dirs_exist_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
