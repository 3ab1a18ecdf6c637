"""`leukoflow doctor`: checks of machine, configuration, network, store and servers.

`finding` is a result; `machine`, `configuration`, `network`, `store` and `servers` have the checks,
each a function from the examined subject to findings; `report` lists the checks and prints them.
The checks change nothing and need no running stack: a server that nobody started is no problem.

When it fails: a check that raises is a finding with the error; the others still run.
"""
