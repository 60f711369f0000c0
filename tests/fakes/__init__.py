"""Scriptable stand-ins for the services that deliver our messages.

Both speak the real protocol over a loopback socket, so the product's own client
code runs unchanged against them. ``python -m tests.fakes`` runs both by hand.
"""
