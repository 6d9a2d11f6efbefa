"""Rows become lines, or are rejected or skipped with a reason.

`pipeline` converts pieces of the input in a few workers, in order; `fast_path` formats rows that are plain beyond doubt
with the kernel, `records` judges and formats all others, and is right for every row. `gather` sees all rows of a user,
in bounded memory by `spill`.
"""
