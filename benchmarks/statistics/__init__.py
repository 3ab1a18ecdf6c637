"""Simulations of the statistics: coverage of intervals, error rates of the gate.

Part: `coverage`, on `simulated_cells`. `gate_errors` and `calibration_errors` print the
tables of decision 0005; fixed seeds make every table reproducible.
"""
