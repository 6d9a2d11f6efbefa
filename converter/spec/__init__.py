"""Adobe's rules as data and pure functions: no input, no output, nothing executed.

Codes (N1, C8, I3 …) name the rules; `page` is the path of the page in Adobe's public documentation
repository `AdobeDocs/audience-manager.en`, below `help/using/`. Rules marked *(ours)* say more than Adobe does.
"""
