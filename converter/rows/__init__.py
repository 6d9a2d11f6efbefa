"""Rows become lines, or are rejected or skipped with a reason.

`pipeline` converts blocks of the input in several workers, in order. `fast_path` formats regular rows with the kernel;
`records` is the query that is right for every row: `judging` and `signals` find what a row has and the rule that it
breaks, `formatting` makes the line. `stages` see all rows of a user between the workers and the parts, in memory
bounded by `spill`; `users` gathers them, and `earlier` leaves out lines because of those before. `counters` are added
to the ledger.
"""
