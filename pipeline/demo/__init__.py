"""`make demo`: the whole loop on the embedded stack, each step run by Airflow."""

from pipeline.demo.loop import run_demo

__all__ = ["run_demo"]
