"""The sections of a job file, validated and immutable: their keys, and which values are allowed."""
