"""HTTP layer of the service: everything a request passes before and after the model.

In order of a request: `middleware` (API key, route and body checks), `api_key_check`, `bodies`
(accepted body per route), `upload` (multipart files), `routes` (FastAPI), `schemas` (JSON bodies).
On the way out: `errors` (every error and its JSON body), `response_sender` (headers), `access_log`.
`openapi` completes `/docs.json`.

When it fails: look up the `request_id` of the response in the access log (stdout), then in the
service log (stderr). A status of 500 is always a bug here; clients cause 4xx only.
"""
