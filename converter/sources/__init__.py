"""Where rows come from: origins (where bytes are) and formats (what they mean).

`opening` turns `input.path` into origins (`origins`), and opens each as a source of its format. `tasks` gives the tasks
of all sources; workers run them, and each gives a block of rows (`base`).

To add a format, write a module with a class that satisfies the protocol `Source`, and list it in `opening.FORMATS` with
the suffixes of its names. One of text derives it from `TextSource` and brings a `Parser` (`texts`): it is read in
workers, unpacked, cut into blocks, and small files are gathered.
"""
