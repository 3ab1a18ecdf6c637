"""Processes of the embedded stack: start, find, check and stop them.

`supervisor` runs the Procfile and ends all parts when one ends; `discovery` finds and stops the
processes of a stack; `health` checks one part; `waiting` waits for several; `temporary_parts`
runs some parts inside a `with` block for tests and benchmarks.
"""
