"""One module for each command, which connects the packages above it.

`plan` checks what a job would do; `convert`, `send`, `match`, `doctor` and `sync_urls` are
the functions of the package; `check` checks inbound files that exist, `resume` decides what happens to an earlier run.
To add one, write a module with a function, and name it in `converter/__init__.py`.
"""
