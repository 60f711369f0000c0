"""What managers keep up about messages in Django admin: the texts.

Gateways are switched on the page Operations, with a reason.
"""

from messaging.text_admin import TemplateAdmin

__all__ = ["TemplateAdmin"]
