"""What pages consist of: elements of HTML, in which every value is escaped.

`frame` is around all pages, `pieces` are in several; a module for each kind of report draws its content from the values
of its `..._shown`. All of them are made of `elements`.
"""
