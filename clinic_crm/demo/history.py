"""What the demo patients have, take, react to and have been through."""

from dataclasses import dataclass
from typing import NamedTuple

ICD = "http://hl7.org/fhir/sid/icd-10-cm"


class Condition(NamedTuple):
    """A condition, the youngest who has it here, and what is taken for it."""

    label: str
    code: str
    from_age: int
    medicines: tuple[str, ...]


CONDITIONS = (
    Condition("Hypertension", "I10", 35, ("Amlodipine 5 mg", "Lisinopril 10 mg")),
    Condition("Type 2 diabetes", "E11.9", 38, ("Metformin 500 mg twice a day",)),
    Condition("Osteoarthritis, right knee", "M17.11", 50, ("Paracetamol 1 g",)),
    Condition("Atrial fibrillation", "I48.91", 58, ("Apixaban 5 mg twice a day",)),
    Condition("Heart failure", "I50.9", 62, ("Furosemide 40 mg", "Bisoprolol 2.5 mg")),
    Condition("COPD", "J44.9", 52, ("Tiotropium inhaler",)),
    Condition("Asthma", "J45.909", 4, ("Salbutamol inhaler",)),
    Condition("Migraine", "G43.909", 14, ("Sumatriptan 50 mg when needed",)),
    Condition("Hypothyroidism", "E03.9", 25, ("Levothyroxine 75 µg",)),
    Condition("Depression", "F32.9", 18, ("Sertraline 50 mg",)),
    Condition("Eczema", "L30.9", 1, ("Hydrocortisone cream 1%",)),
    Condition("Iron deficiency anaemia", "D50.9", 14, ("Ferrous sulphate 200 mg",)),
    Condition("Chronic kidney disease, stage 3", "N18.30", 60, ()),
    Condition("Gout", "M10.9", 40, ("Allopurinol 100 mg",)),
    Condition("Coeliac disease", "K90.0", 3, ()),
)

ALLERGIES = (
    ("Penicillin", "rash"),
    ("Peanuts", "swollen lips"),
    ("Latex", "hives"),
    ("Sulfonamides", "fever"),
    ("Ibuprofen", "wheeze"),
    ("Bee stings", "swollen arm"),
    ("Shellfish", "vomiting"),
)

#: (what, from which age, of which sex when not of all)
PROCEDURES = (
    ("Appendectomy", 10, ""),
    ("Knee replacement, right", 55, ""),
    ("Cataract surgery, left eye", 60, ""),
    ("Caesarean section", 22, "female"),
    ("Tonsillectomy", 5, ""),
    ("Coronary stent", 52, ""),
    ("Colonoscopy", 45, ""),
    ("Wisdom teeth removed", 18, ""),
)

FAMILY = (
    "Mother: stroke at 71",
    "Father: heart attack at 58",
    "Sister: breast cancer at 49",
    "Brother: type 2 diabetes",
    "Mother: glaucoma",
    "Grandfather: bowel cancer",
)

#: (what, from which age)
SOCIAL = (
    ("Lives with family", 0),
    ("Sleeps at the grandparents' on weekdays", 0),
    ("Lives alone, third floor, no lift", 24),
    ("Night shifts at the port", 20),
    ("Stopped smoking five years ago", 28),
    ("Smokes ten a day", 20),
    ("Looks after a grandchild on weekdays", 58),
    ("Retired teacher", 66),
    ("No car; comes by bus", 18),
)


@dataclass(frozen=True)
class Entry:
    """One thing of a person's history, days counted back from today."""

    kind: str
    label: str
    days_ago: int
    source: str
    code: str = ""
    told: bool = True
    verified: bool = True
    status: str = "active"
    details: str = ""
