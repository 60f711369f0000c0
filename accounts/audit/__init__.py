"""Who saw or changed whom: the trail of a page, its record, and the sealed chain."""
