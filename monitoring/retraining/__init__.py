"""Retraining: when drift requests a new training run.

`policy` decides from the result, earlier decisions and the last request; `retrain_requests` stores
the decision and the open request. A request stays open until its training run closes it or it
expires (`request_expires_hours`); meanwhile no other is opened.
"""
