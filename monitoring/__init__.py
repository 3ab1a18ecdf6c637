"""Monitoring: prediction logs in S3 become drift reports and retrain requests.

In order: `windows` collects log segments into a window, `drift` tests it against the reference of
the model's evaluation, `retraining` applies the policy and opens at most one retrain request,
`reports` serves the pages. `entrypoints` is the interface of the DAG, `command` that of the command
line; `configs/monitoring.yaml` has the thresholds.

When it fails: every step can be repeated with the same arguments and returns the same artefact.
`ArtifactError`: no model is promoted, or its evaluation is missing (`leukoflow history`).
`ConflictError`: a concurrent run wrote first; run the step again.
"""
