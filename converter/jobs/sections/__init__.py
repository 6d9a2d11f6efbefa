"""The sections of a job file, validated and frozen: what they say, and what may not stand in them."""
