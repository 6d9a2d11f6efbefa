"""What users ask for: `Job` and its sections, and how documents are read, checked and shown.

A TOML file, `--set KEY=VALUE`, flags and keyword arguments are equivalent. To add a key, add a field to its
section in `sections/`; the schema and the key tables of the documentation follow from it.
"""
