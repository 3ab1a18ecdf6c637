"""The job of an entry point: its settings and adapters, its MLflow run, its report pages.

`job` has the settings, config and adapters of one call, `best_effort_mlflow` its MLflow run,
`report_pages` its pages on the report site,
`run_note` the note of its Airflow run. An unreachable MLflow is logged and stops no training.
"""
