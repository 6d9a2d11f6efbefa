"""Changes only: users are compared with what was last sent for them, and left out where nothing has changed.

1. Whole users (`converter.rows.users`) come range by range of the hashes of their IDs, and so does the state (`past`).
2. `changes` compares them by keyed hashes (`keyed`), and `removals` adds what takes lost traits back.
3. `stage` does this for the users of a run, and makes the next state. Most lines that have not changed are recognized
   before (`known`), where the state fits into memory.
"""
