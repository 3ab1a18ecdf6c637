"""Reports: the HTTP server of the report site. 503: the object store is unreachable or denied."""
