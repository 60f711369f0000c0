"""A clinic's own patient list: CSV, one person a line."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import TextIO

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Site
from patients.importing import values
from patients.importing.rows import MRN, PatientRow
from patients.importing.tables import Column, Line, Table
from patients.models import Channel, Identifier

#: What each column may be called, squashed: no case, accents, spaces or signs.
NAMES = {
    name: spellings.split()
    for name, spellings in {
        "identifier": (
            "identifier id mrn patientidentifier patientid patientnumber patientno "
            "medicalrecordnumber recordnumber chartnumber chartno chart externalid "
            "identificador idpaciente iddepaciente nhc historiaclinica "
            "numerodehistoria numerodehistoriaclinica expediente numerodeexpediente"
        ),
        "given_name": (
            "givenname givennames given firstname firstnames first forename forenames "
            "nombre nombres nombredepila primernombre"
        ),
        "family_name": (
            "familyname familynames family lastname lastnames last surname surnames "
            "apellido apellidos"
        ),
        "preferred_name": (
            "preferredname preferred nickname knownas callme usualname "
            "nombrepreferido apodo"
        ),
        "birth_date": (
            "birthdate dateofbirth dob birthday born birth fechadenacimiento "
            "fechanacimiento fechanac nacimiento"
        ),
        "sex": "sex gender administrativesex sexo genero",
        # The order matters: the first number is the one that is texted.
        "phone": (
            "mobile mobilephone mobilenumber mobileno cell cellphone cellnumber "
            "celular movil telefonomovil telefonocelular phone phonenumber phoneno "
            "telephone telephonenumber tel telefono numerodetelefono "
            "phone1 phone2 homephone hometelephone landline"
        ),
        "email": "email emailaddress mail correo correoelectronico",
        "language": (
            "language preferredlanguage lang writtenlanguage languageread idioma "
            "lengua idiomapreferido"
        ),
        "spoken_language": (
            "spokenlanguage languagespoken speaks spoken idiomahablado habla"
        ),
        "needs_interpreter": (
            "needsinterpreter interpreter interpreterneeded interpreterrequired "
            "interprete necesitainterprete"
        ),
        "pronouns": "pronouns pronombres",
        "preferred_way": (
            "preferredway preferredchannel preferredcontact preferredcontactmethod "
            "contactmethod contactpreference bestway canalpreferido contactopreferido"
        ),
        "address_line": (
            "addressline address address1 addressline1 street streetaddress "
            "postaladdress direccion domicilio calle"
        ),
        "city": "city town municipality ciudad poblacion localidad municipio",
        "state": "state province estado provincia",
        "postal_code": ("postalcode zip zipcode postcode codigopostal cp"),
        "country": "country countrycode pais",
        "time_zone": "timezone tz zone zonahoraria husohorario",
        "consent_sms": (
            "consentsms smsconsent consenttext textconsent consenttotext "
            "consenttosms smsoptin optinsms textoptin optintext "
            "consentimientosms consientesms"
        ),
        "consent_email": (
            "consentemail emailconsent consenttoemail emailoptin optinemail "
            "consentimientoemail consentimientocorreo consienteemail consientecorreo"
        ),
    }.items()
}
#: How the columns are called on the page where somebody says which is which.
TITLES: dict[str, Promise] = {
    "identifier": gettext_lazy("Patient number"),
    "given_name": gettext_lazy("Given name"),
    "family_name": gettext_lazy("Family name"),
    "preferred_name": gettext_lazy("Preferred name"),
    "birth_date": gettext_lazy("Birth date"),
    "sex": gettext_lazy("Sex"),
    "pronouns": gettext_lazy("Pronouns"),
    "phone": gettext_lazy("Phone"),
    "email": gettext_lazy("Email"),
    "address_line": gettext_lazy("Address"),
    "city": gettext_lazy("City"),
    "state": gettext_lazy("State"),
    "postal_code": gettext_lazy("Postal code"),
    "country": gettext_lazy("Country"),
    "language": gettext_lazy("Language they read"),
    "spoken_language": gettext_lazy("Language they speak"),
    "needs_interpreter": gettext_lazy("Needs an interpreter"),
    "preferred_way": gettext_lazy("Best way to reach them"),
    "time_zone": gettext_lazy("Time zone"),
    "consent_sms": gettext_lazy("Agreed to texts"),
    "consent_email": gettext_lazy("Agreed to email"),
}
#: Columns whose text is taken as it stands.
_PLAIN = (
    "preferred_name",
    "pronouns",
    "address_line",
    "city",
    "state",
    "postal_code",
)
#: Without these nobody can be taken over.
REQUIRED = ("identifier", "given_name")
#: What may stand in several columns.
SEVERAL = ("phone",)
_LONGEST_IDENTIFIER = Identifier._meta.get_field("value").max_length or 120


def open_list(text: TextIO, chosen: Mapping[int, str] | None = None) -> Table:
    """Return the file as a table of ours; see ``Table`` for what it refuses.

    ``chosen``, {place: name}, says what the columns are; without, they are guessed.
    """
    return Table(text, names=NAMES, required=REQUIRED, several=SEVERAL, chosen=chosen)


def columns_of(text: TextIO, chosen: Mapping[int, str] | None = None) -> list[Column]:
    """Return the columns of a list, what they are taken for, and what is in them.

    Reads the first lines. Raises ``UnreadableFile`` where there is no header.
    """
    table = Table(text, names=NAMES, required=(), several=SEVERAL, chosen=chosen)
    return table.columns()


def read_list(
    table: Table, *, source: str, site: Site, today: date
) -> Iterator[PatientRow]:
    """Yield one row a line, with what is wrong about it."""
    for line in table:
        yield _read(line, source, site, today)


def _read(line: Line, source: str, site: Site, today: date) -> PatientRow:
    row = PatientRow(source=source, number=line.number, raw=line.raw)
    if line.broken:
        row.reject("line", line.broken)
        return row
    _read_identity(row, line, site, today)
    values.take_sex(row, line.get("sex"))
    values.take_language(row, line.get("language"))
    values.take_zone(row, line.get("time_zone"), site)
    values.take_spoken_language(row, line.get("spoken_language"))
    values.take_interpreter(row, line.get("needs_interpreter"))
    values.take_way(row, line.get("preferred_way"))
    values.take_country(row, line.get("country"))
    for name in _PLAIN:
        values.take_text(row, name, line.get(name))
    for number in line.all("phone"):
        values.take_phone(row, number, site)
    values.take_email(row, line.get("email"))
    for channel in Channel:
        values.take_consent(row, channel, line.get(f"consent_{channel.value}"))
    return row


def _read_identity(row: PatientRow, line: Line, site: Site, today: date) -> None:
    identifier = line.get("identifier")
    if not identifier:
        row.reject("identifier", _("is missing"))
    elif len(identifier) > _LONGEST_IDENTIFIER:
        row.reject(
            "identifier",
            _("is longer than %(most)d characters") % {"most": _LONGEST_IDENTIFIER},
        )
    else:
        row.identifiers = [(MRN, identifier)]
    given = line.get("given_name")
    if not given:
        row.reject("given_name", _("is missing"))
    values.take_text(row, "given_name", given)
    values.take_text(row, "family_name", line.get("family_name"))
    values.take_birth_date(row, line.get("birth_date"), site, today)
