"""Parts get to a destination whole or not at all, whatever happens on their way.

`destinations/` has a module for each kind of destination, behind one protocol; `delivery` sends parts there, through a
`spool`, with retries; `publication` makes them visible, then the run's artifacts; `journal` has what has happened, so
that a run that died can be resumed; `hold` and `locks` keep two runs apart; `atomic` writes files whole or not at all;
`stops` decides when a signal may end a run. To add a destination, see `destinations/__init__.py`.
"""
