"""Clients of everything outside this process; each translates foreign errors into ours.

`storage` (S3 and local files), `artifact_store` (manifests, verified files) and `image_packs` on
it; `pointer_store` (pointer, ledger, refusals); `tracking` (MLflow); `airflow` on
`airflow_session`; `bento` with its subprocess `bento_model`; `service_client`; `api_key_file`;
`requirements` (exports of uv.lock).

When it fails: UnreachableError may pass with a retry; InvalidInputError and ArtifactError do not.
The message names address, expected and received. An adapter imports no step and no config.
"""
