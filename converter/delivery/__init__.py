"""Parts get to a destination whole or not at all, whatever happens on their way.

`destinations/` has a module for each kind of place, behind one protocol; `delivery` sends parts there, tries again what
may pass, and publishes them; `journal` keeps on disk what happened, so that a run that died can be resumed; `stops`
says when a signal may end a run. To add a destination, see `destinations/__init__.py`.
"""
