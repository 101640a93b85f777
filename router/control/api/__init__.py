"""The control API: HTTP on the one side, steps over a transaction on the other.

The rooms: `sent` and `shown` are what is sent and answered, `operations` what an operation is, `calls` one request on
its way, `reading` what it brings, `catalogue` the table of all operations, `tenants`, `moves` and `records` what each
of them does, `openapi` the document that is made of it, `application` the listener's side.
"""
