"""Outbound files of Audience Manager are read: found, compared with their control files, parsed, written as a table.

`finding` finds the files, `control` reads what is said about them, `contents` reads their bytes, `parsing` makes
columns of their lines, `writing` writes these; `reading` runs that in workers, and `verdict` says whether the result is
right. `converter.commands.read_outbound` puts all of it together.
"""
