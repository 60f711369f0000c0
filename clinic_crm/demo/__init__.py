"""The demo clinic: Harbour Clinic with invented people, so that screens have life."""

#: Who may sign in to the demo, with ``DEMO_PASSWORD`` or the password printed once.
DEMO_LOGINS = [
    ("femi", "Front desk"),
    ("maya", "Nurse"),
    ("rao", "Clinician"),
    ("ada", "Manager"),
    ("otto", "Auditor"),
]
