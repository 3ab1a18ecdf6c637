"""What entry points share.

`job` has the settings, config and adapters of one call, `mlflow_run` its MLflow run, `pages` its
reports on the report site. An unreachable MLflow is logged and stops no training.
"""
