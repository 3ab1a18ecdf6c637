"""Windows: which predictions are tested together.

`collect` reads log segments and publishes a window; `log_watermark` stores which records were
tested, so that no record is tested twice. A segment that arrives more than `late_days` late is not
read; unreadable lines are skipped, counted and logged.
"""
