"""The engines: the only modules that import a database driver.

`postings` holds the index, a cache that may be deleted at any time; `ledger` holds the queue and
the decisions, which may not.
"""
