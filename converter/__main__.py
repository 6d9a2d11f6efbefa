"""`python -m converter` is `aam-inbound`."""

from converter.cli import main

if __name__ == "__main__":
    main()
