"""`python -m converter` is `aam-inbound`."""

import os
import sys

# Python puts the working folder first: a `numpy.py` beside the data would be run.
if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:  # noqa: PTH109 - nothing else is loaded here
    del sys.path[0]

from converter.cli import main

if __name__ == "__main__":
    main()
