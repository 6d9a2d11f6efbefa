"""Texts in columns: their memory, and what queries do to them.

`pool` leases memory; `buffers` are Arrow's string views as the kernel sees them; `text` gives every type of column one
text form; `percent` encodes and decodes; `normalize` brings IDs into the form that Audience Manager matches; `privacy`
finds personal data.

To add a step on IDs, yield it in `normalize._steps`. To add a kind of personal data, name it in `spec.rules.PERSONAL`
and add its judge to `privacy.values._detectors`.
"""
