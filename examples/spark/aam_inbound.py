"""The command aam-inbound as a program for spark-submit: the arguments after its name are those of the command."""

from converter.cli import main

main()
