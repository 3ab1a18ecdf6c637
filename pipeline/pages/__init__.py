"""Pages: the HTML of the report site, and the base template of all pages.

`report_site` publishes a folder as a page and rebuilds the index. Templates are in `templates/`;
the module that renders a page is in the folder of its step (`steps/promotion/verdict_page.py`).

When it fails: a conflict on the index means many writers at once, and a retry writes it. A lost or
edited index is rebuilt from the entries by the next published page.
"""
