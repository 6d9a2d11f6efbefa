"""Lines become parts: compressed, encrypted where that is asked for, and of bounded size.

`blocks` cuts text into blocks at places that depend on the text and the job alone, and compresses them. `packer` puts
each into its part; `writing` writes and hashes each part in a thread of its own; `pgp` encrypts a part while it
is made. To add a container, give `packer` another `Filter`.
`reader` and `line_checks` read and check parts that exist, for `check`.
"""
