"""Value types, immutable and without behaviour of their own.

`fields` and `networks` check and compare single values; `config` is what a router is configured with; `role` is
what keepalived says it is; `desired` is what a machine should look like, and what it was seen to look like.
"""
