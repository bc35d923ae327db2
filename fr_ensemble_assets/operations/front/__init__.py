"""The front: what stands before Dagster's web server, which checks nobody and nothing by itself.

``policy`` says whom it is there for, ``decision`` lets a request through or says in one sentence
why not, ``documents`` reads GraphQL, ``middleware`` brings all three before an ASGI application,
and ``python -m`` serves Dagster's own application behind it, in one process and on one port: there
is no second door.
"""
