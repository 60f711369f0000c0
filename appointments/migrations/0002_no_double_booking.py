"""On PostgreSQL the database itself refuses two live visits at one time.

SQLite has no exclusion constraints and one writer at a time; there the service's look
inside its write transaction is enough.
"""

from django.db import migrations

CONSTRAINTS = {
    "appointment_no_clinician_overlap": "clinician_id",
    "appointment_no_patient_overlap": "patient_id",
}


def add(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    for name, column in CONSTRAINTS.items():
        schema_editor.execute(
            f"ALTER TABLE appointments_appointment ADD CONSTRAINT {name} "
            f"EXCLUDE USING gist ({column} WITH =, "
            "tstzrange(starts_at, ends_at) WITH &&) "
            "WHERE (state IN ('booked', 'confirmed', 'arrived') AND NOT overbooked)"
        )


def remove(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for name in CONSTRAINTS:
        schema_editor.execute(
            f"ALTER TABLE appointments_appointment DROP CONSTRAINT {name}"
        )


class Migration(migrations.Migration):
    dependencies = [("appointments", "0001_initial")]

    operations = [migrations.RunPython(add, remove)]
