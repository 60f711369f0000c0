"""Looking for patients who are easily recognised, wherever a clinic leaves traces."""

import base64
import binascii
import io
import itertools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import unquote_plus

from django.apps import apps
from django.contrib import admin
from django.contrib.auth import SESSION_KEY
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from kombu.transport.memory import Channel as Queues

from accounts.policies import walk_addresses

#: Every personal value of the day holds one of these; none comes about by chance.
CANARY = re.compile(
    r"kanarie|617\D{0,3}555\D?018\d|1911-0?7-19|0?7/19/1911|19[./]0?7[./]1911", re.I
)
TEXT = "Kanarietext: her stitches opened, call 617 555 0181"
CSV = (
    "identifier,given_name,family_name,preferred_name,birth_date,phone,email,"
    "consent_sms\n"
    "KANARIE-100,Kanarieimre,Kanarieabo,Kanarieimi,1911-07-19,+16175550187,"
    "imre@kanarie.example,yes\n"
    "KANARIE-101,Kanariebad,Kanarierow,,not kanarieborn,617 555 0188 kanarie,"
    "kanarie at kanarie,perhaps kanarie\n"
)
ADDRESSES = {"href", "src", "action", "formaction", "hx-get", "hx-post", "data-url"}
#: What dials or writes; the browser sends it nowhere.
DIALS = ("tel:", "sms:", "mailto:")


class Evidence:
    """What a day left where nothing of a patient may stand."""

    def __init__(self) -> None:
        self.log = io.StringIO()
        self.left: list[tuple[str, str]] = []
        #: Names of addresses whose pages showed a patient.
        self.shown: set[str] = set()
        self.answers: set[int] = set()

    def add(self, where: str, what: object) -> None:
        self.left.append((where, str(what)))

    def leaks(self, sign: re.Pattern[str] = CANARY) -> list[str]:
        """Return every place in which a canary is read, whatever it is wrapped in."""
        everything = self.left + [("log", line) for line in self.lines()]
        everything += [("task", task) for task in queued()]
        return [
            f"{where}: {what}"
            for where, what in everything
            if any(sign.search(text) for text in readings(what))
        ]

    def lines(self) -> list[str]:
        return self.log.getvalue().splitlines()


def readings(text: str) -> Iterator[str]:
    """Yield a text as it is, without its quoting, and what it holds in base64."""
    yield text
    yield unquote_plus(unquote_plus(text))
    for part in re.findall(r"[\w+/-]{12,}", text):
        padded = part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4)
        try:
            yield base64.b64decode(padded).decode("utf-8", "ignore")
        except (binascii.Error, ValueError):
            continue


def queued() -> list[str]:
    """Return what lies in the broker, as it lies there."""
    return [str(m) for queue in list(Queues.queues.values()) for m in list(queue.queue)]


class Page(HTMLParser):
    """The addresses on a page, and its forms as somebody fills them in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.forms: list[tuple[str, str, dict[str, object]]] = []
        self._select = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = {key: value or "" for key, value in attrs}
        self.addresses += [given[key] for key in ADDRESSES & given.keys()]
        if tag == "form":
            action, method = given.get("action", ""), given.get("method", "get")
            self.forms.append((action, method.lower(), {}))
        if not self.forms:
            return
        fields, name = self.forms[-1][2], given.get("name", "")
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select and given.get("value"):
            fields.setdefault(self._select, given["value"])
        elif tag == "textarea" and name:
            fields[name] = TEXT
        elif tag == "button" and name:
            fields.setdefault(name, given.get("value", ""))
        elif tag == "input" and name:
            self._fill(fields, name, given)

    def _fill(self, fields, name, given):
        kind = given.get("type", "text")
        if given.get("inputmode") == "numeric":
            kind = "number"
        if kind == "file":
            fields[name] = SimpleUploadedFile("kanarie.csv", CSV.encode(), "text/csv")
        elif kind == "radio":
            fields.setdefault(name, given.get("value", "on"))
        elif kind in {"hidden", "date", "time", "checkbox", "number"}:
            fields[name] = given.get("value", "")
        else:
            fields[name] = "Kanariesearch 617 555 0187"


class Browser(Client):
    """A browser that notes where it went and what it was given to keep."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(raise_request_exception=False, headers={"Accept": "text/html"})
        self.evidence = evidence
        self.user = None
        self.kept: dict[str, object] = {}
        self._sent: set[tuple[str, ...]] = set()

    def sign_in(self, user) -> None:
        """Sign in with the password, as sensitive pages want it."""
        user.set_password("harbour-demo-1")
        user.save()
        login = {"login": user.username, "password": "harbour-demo-1"}
        self.post(reverse("account_login"), login)
        self.user, self.kept = user, dict(self.session.items())
        assert SESSION_KEY in self.kept

    def request(self, **request):
        answer = super().request(**request)
        note = self.evidence.add
        self.evidence.answers.add(answer.status_code)
        note("request", f"{request['PATH_INFO']}?{request.get('QUERY_STRING', '')}")
        note("redirect", answer.get("Location", ""))
        for name, morsel in answer.cookies.items():
            note("cookie", f"{name}={morsel.value}")
        if answer.streaming or not CANARY.search(answer.content.decode()):
            return answer
        if answer["Cache-Control"] != "no-store":
            note("kept by the browser", answer.content.decode())
        match = answer.wsgi_request.resolver_match
        self.evidence.shown.add(match.view_name if match else "none")
        return answer

    def look(self, where: str) -> None:
        """Open a page, note the addresses on it, and send each of its forms once."""
        answer = self.get(where)
        if answer.streaming or "html" not in answer.get("Content-Type", ""):
            return
        page = Page(answer.content.decode())
        for target in page.addresses:
            if not target.startswith(DIALS):
                self.evidence.add(f"link on {where}", target)
        for action, method, fields in page.forms:
            shape = re.sub(r"\d+", "1", action or where)
            if (shape, *fields) in self._sent:
                continue
            self._sent.add((shape, *fields))
            send = self.post if method == "post" else self.get
            send(action or where, fields)
            if self.user and "/accounts/" in shape:
                # It may have ended the session or locked it.
                self.force_login(self.user)
                session = self.session
                session.update(self.kept)
                session.save()


def every_path(token: str) -> list[str]:
    """Return paths for every address of ours, with rows that there are."""
    paths = []
    for address in walk_addresses():
        if address.name.startswith("admin:"):
            continue
        app = address.name.split(":")[0] if ":" in address.name else "accounts"
        app = {"links": "patients"}.get(app, app)
        names = re.findall(r"<(?:(\w+):)?(\w+)>", address.route)
        choices = [_values(kind, name, app, token) for kind, name in names]
        for values in itertools.product(*choices):
            route = "/" + address.route
            for value in values:
                route = re.sub(r"<[^>]+>", str(value), route, count=1)
            paths.append(route)
    return paths


def _values(kind: str, name: str, app: str, token: str) -> list[object]:
    if name == "token":
        return [token, "nobody"]
    if kind != "int":
        return ["nothing"]
    models = (
        [apps.get_model("patients.patient")]
        if name == "patient_pk"
        else apps.get_app_config(app).get_models()
    )
    keys = {key for m in models for key in m.objects.values_list("pk", flat=True)[:2]}
    return sorted(key for key in keys if isinstance(key, int)) or [1]


def admin_paths() -> list[str]:
    paths = [reverse("admin:index")]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        paths += [reverse(f"{name}_changelist"), reverse(f"{name}_add")]
        row = model.objects.first()
        if row:
            paths += [
                reverse(f"{name}_{verb}", args=[row.pk])
                for verb in ("change", "history", "delete")
            ]
    return paths
