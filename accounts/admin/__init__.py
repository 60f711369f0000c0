"""Staff, places and the machinery in Django admin."""

from accounts.admin import duty, machinery, places, staff

__all__ = ["duty", "machinery", "places", "staff"]
