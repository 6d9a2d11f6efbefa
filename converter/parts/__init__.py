"""Lines become parts: compressed, encrypted where that is asked for, and of bounded size.

`packer` cuts text into blocks at places that depend on the text and the job alone, compresses them in threads and puts
them together; `pgp` encrypts a part while it is made. To add a container, give `packer` another `Filter`.
`reader` and `line_checks` read and check parts that exist, for `check`.
"""
