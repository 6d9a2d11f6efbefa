"""Clients of servers: connect, list, read, write, and map errors.

`server` parses URLs of servers and maps errors of the network; `s3_client`, `s3_bucket` and `s3_errors` do so for S3.
Errors of other libraries are mapped here, once, and nowhere else.
"""
