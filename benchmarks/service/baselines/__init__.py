"""Baselines of the service: a BentoML service without work, and the replaced application."""
