"""The proof under fire: what phones truly got, beside what the database believes.

``python -m tests.soak`` runs the real programs against a provider that misbehaves,
while they are killed, stopped and cut off; ``ledger`` says afterwards whether anything
was lost, doubled or sent to the wrong person. ``tests/messaging/test_proof.py`` asks
the same of one process, in many small steps.
"""
