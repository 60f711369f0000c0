"""Links for patients: one purpose each, behind a birth date, opened under ``/p/``."""
