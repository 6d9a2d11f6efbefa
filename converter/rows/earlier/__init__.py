"""What came before a line, in the order of the input: an equal one, or as many of its user as a user may have.

1. Workers hash lines and the IDs of their users (`keys`).
2. In the order of the input, keys are counted in memory, and lines are left out (`judge`).
3. Once the keys take too much memory, they are partitioned on disk, and lines wait for the end (`held`): without the
   kernel, from the start on. Keys are counted by partitions then, and lines come out in their order: it stays the same.
4. `stage` connects these, and counts what became of rows.
"""
