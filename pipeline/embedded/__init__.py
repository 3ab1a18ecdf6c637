"""The embedded stack: every server of Leukoflow as a local process, started from the Procfile.

`up` runs, in this order: `preflight` (folders, disk space, lock), `credentials` (passwords in
`stack.env`), `ports` (are they free?), `seaweedfs_access` and `airflow_home` (files and database
that the servers read), `environment` (their variables), `processes/supervisor` (honcho) and
`processes/waiting` (until each part is healthy). `parts` lists the parts, `stack` is the
entry point.

When it fails: the error names the part and its log below `LEUKOFLOW_HOME/logs`; nothing is left
running. `make down` ends every process, also after the supervisor was killed. docs/runbook.md has
the rest; docs/decisions/0021-process-supervision.md says why there is no other supervisor.
"""
