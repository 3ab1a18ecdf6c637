"""`make demo`: the whole loop on the embedded stack, each step run by Airflow.

`run_demo` calls in this order: `archive_upload`, `progress` (follows a DAG run), `unseen_images`
(for the drift windows), `traffic` (requests to the service), `summary` (closing table).

When it fails: before a verdict on a model, the command ends with the error of the failed task.
After it, a failure is a row of the table, and the command ends with the first of them; the stack
stays up.
"""

from pipeline.demo.run_demo import run_demo

__all__ = ["run_demo"]
