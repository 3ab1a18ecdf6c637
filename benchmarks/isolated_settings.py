"""Settings of a benchmark that trains: a store of its own and no MLflow."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch


@contextmanager
def isolated_settings(folder: Path, store: str, model_name: str, **more: str) -> Iterator[None]:
    """Set environment variables within the block: own home and store, MLflow unreachable.

    Args:
        folder: home of caches and settings.
        store: root of the object store.
        model_name: name of the model.
    """
    variables = {
        "LEUKOFLOW_HOME": str(folder),
        "STORE_URI": store,
        "MODEL_NAME": model_name,
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",  # refuses connections
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    with patch.dict(os.environ, variables | more):
        yield
