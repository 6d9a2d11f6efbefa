"""Whole users: all lines of a user come together, in memory bounded by the disk.

1. Workers partition the lines of their blocks by the leading bits of the hash of the user ID (`lines`), and append
   them to a file once they do not fit into memory (`partitions`).
2. Partitions are gathered by workers, several at once (`gather`), and come out in the order of the hash: so the order
   is the same for any memory, threads and machine.
3. `stage` counts what became of each row, and says where in the input the rejected ones are.

Where only changes are sent, users go through `converter.rows.delta` then.
"""
