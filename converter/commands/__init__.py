"""What the tool can do: one module a capability, which wires the rooms above and does nothing else.

`plan` is what a job would do, before anything is converted; `convert`, `send`, `match`, `doctor` and `sync_urls` are
the functions of the package; `check` reads inbound files that exist, `resume` decides what becomes of an earlier run.
To add one, write a module with a function, and name it in `converter/__init__.py`.
"""
