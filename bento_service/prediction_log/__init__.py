"""Prediction log: predictions, kept images and feedback, written locally and then uploaded.

`writer` logs predictions and feedback before the response is sent; `segments` writes the lines to
files; `uploader` uploads closed files to the store.

When it fails: a full disk or an unreachable store never fails a prediction. Files wait on disk;
`leukoflow_log_failures_total` and `leukoflow_log_dropped_total` count failures and deletions.
"""
