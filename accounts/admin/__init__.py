"""Staff, places and the machinery in Django admin."""

from accounts.admin import machinery, places, staff

__all__ = ["machinery", "places", "staff"]
