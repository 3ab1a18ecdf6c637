"""MLflow: runs of an experiment, served bundles as registered models, and its errors as ours.

`runs` has one experiment and its runs, `models` the logged and registered models, `errors` the
translation. Deleted on MLflow's page: an experiment is restored with its runs, a registered model
or a logged model is made again, a deleted run is replaced by a new one of the served bundle.

When it fails: UnreachableError (MLflow is down; a retry may succeed) or TrackingError (MLflow
responds but refuses; the message says why and what to do). Training continues without either.
"""
