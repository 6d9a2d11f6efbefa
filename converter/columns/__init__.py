"""Texts in columns: how they stand in memory, and what a query does to them.

`buffers` are Arrow's string views as the kernel sees them; `text` gives every type of column one text form; `percent`
encodes and decodes; `normalize` turns IDs into the form that Audience Manager matches; `privacy` finds personal data.
To add a step on IDs, add it to `normalize.STEPS`; to add a kind of personal data, add a module to `privacy/`.
"""
