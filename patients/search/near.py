"""Names that are nearly what was typed."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from accounts.models import User
from core.sql import count_up_to
from core.text import slips
from patients.models import NameToken, Patient, PatientTerm
from patients.search.reading import LAST, Branch, Row, holding, is_day, kind_of
from patients.terms import FEWEST_LETTERS, near_keys, sound

#: With so many found by what was typed, names that only sound alike are noise.
FEW = 5
#: How many near words, and how many of their bearers, are looked at.
_TOKENS, _BEARERS = 1_000, 300
#: How many of the near words of one word are tried beside those of another.
_TRIED = 50
#: How many bearers are read for those who bear the other words somewhere.
_READ = 5_000
#: Farther than any near word.
_FAR = 9
#: {word typed: {word of names: how far}}, nearest first.
_Near = dict[str, dict[str, int]]


def similar(
    user: User | AnonymousUser,
    spoken: Sequence[str],
    known: Sequence[int],
    *,
    most: int,
) -> list[int]:
    """Return the ids of patients with names near these words, the nearest so many.

    One word may be mistyped, or several. Five queries, and one more each time that few
    of the nearest may be shown. Looks at the first few hundred bearers of such names,
    of whatever site.
    """
    near = _near_words(spoken)
    if len(known) >= FEW:
        near = {
            word: {token: far for token, far in tokens.items() if far <= 1}
            for word, tokens in near.items()
        }
    day = next((word for word in spoken if is_day(word)), "")
    if day:
        born = PatientTerm.objects.filter(kind=PatientTerm.Kind.BORN, term=day)
        others = [_near_or_same(word, near) for word in spoken if word != day]
        far = _ranked(holding((born, others), size=_BEARERS), spoken, near)
    else:
        branches = list(_branches(near, spoken))
        rows = holding(*branches, size=_BEARERS, read=_READ)
        far = _ranked(rows, spoken, near)
        good = sum(rank[0] <= len(spoken) for rank in far.values())
        if len(spoken) > 1 and good + len(known) < FEW:
            far |= _ranked(_bearers_apart(near, spoken), spoken, near)
    for pk in known:
        far.pop(pk, None)
    nearest = sorted(far, key=lambda pk: (far[pk], pk))
    found: list[int] = []
    size = most
    while nearest and len(found) < most:
        reach = reachable(user, nearest[:size])
        found += [pk for pk in nearest[:size] if pk in reach]
        nearest, size = nearest[size:], size * 4
    return found[:most]


def _branches(near: _Near, spoken: Sequence[str]) -> Iterator[Branch]:
    """Yield bearers of a near word, with one of the other words right behind it.

    Each is one stretch of the index a near word.
    """
    names = [word for word in spoken if kind_of(word) == PatientTerm.Kind.WORD]
    if len(names) < len(spoken) == 2:
        # A year stands right behind nobody's name.
        return
    for is_loose in (False, True):
        for word, tokens in near.items():
            chosen = [token for token, far in tokens.items() if (far > 1) is is_loose]
            behind, *others = [w for w in names if w != word] or [""]
            others += [w for w in spoken if w not in names]
            if chosen:
                yield _bearers(chosen, behind), [[other] for other in others]
    if len(near) > 1:
        # Several are mistyped.
        word, other = sorted(near, key=lambda name: len(near[name]))[:2]
        others = [w for w in spoken if w not in (word, other)]
        held = [_near_or_same(w, near) for w in others]
        for token in list(near[other])[:FEW]:
            if near[word]:
                yield _bearers(near[word], token), held


def _bearers(tokens: Iterable[str], behind: str = "") -> QuerySet[PatientTerm]:
    """Return the bearers of these words of names, right behind them another one."""
    # In no order: PostgreSQL 15 would sort all there are of several words.
    rows = PatientTerm.objects.filter(
        kind=PatientTerm.Kind.WORD, term__in=list(tokens)[:_TRIED]
    )
    if behind:
        rows = rows.filter(rest__gte=f" {behind}", rest__lt=f" {behind}{LAST}")
    return rows


def _bearers_apart(near: _Near, spoken: Sequence[str]) -> list[Row]:
    """Return bearers behind whose word the others stand somewhere; two queries.

    Begins with the word that has the fewest bearers, of whom some thousands are read.
    """
    names = [word for word in spoken if kind_of(word) == PatientTerm.Kind.WORD]
    farthest = 1 if len(names) > 1 else _FAR
    bearers = {}
    for word in names:
        tokens = near.get(word, {}).items()
        bearers[word] = _bearers([word, *(t for t, far in tokens if far <= farthest)])
    if not bearers:
        return []
    counts = count_up_to(_READ, *(rows.values("patient") for rows in bearers.values()))
    rarest = min(zip(counts, bearers, strict=True))[1]
    others = [_near_or_same(word, near) for word in spoken if word != rarest]
    return holding((bearers[rarest], others), size=_BEARERS, read=_READ)


def _ranked(
    rows: Iterable[Row], spoken: Sequence[str], near: _Near
) -> dict[int, tuple[int, str, str]]:
    """Return {patient: how far, and their place among those equally far}."""
    far: dict[int, tuple[int, str, str]] = {}
    for term, rest, pk in rows:
        rank = (_farness([term, *rest.split()], spoken, near), term, rest)
        far[pk] = min(far.get(pk, rank), rank)
    return far


def reachable(user: User | AnonymousUser, ids: Collection[int]) -> set[int]:
    """Return those of these patients the user may see, loading none; one query."""
    if not ids:
        return set()
    ours = Patient.objects.visible_to(user).filter(pk__in=ids)
    return set(ours.values_list("pk", flat=True))


def _near_or_same(word: str, near: _Near) -> list[str]:
    return [word, *list(near.get(word, {}))[:20]]


def _farness(held: Sequence[str], spoken: Sequence[str], near: _Near) -> int:
    """Return how far a name's words are from those typed, all together."""
    total = 0
    for word in spoken:
        tokens = near.get(word, {})
        total += min(
            (0 if own.startswith(word) else tokens.get(own, _FAR) for own in held),
            default=_FAR,
        )
    return total


def _near_words(spoken: Sequence[str]) -> _Near:
    """Return {word typed: {word of names: how far}}, nearest first; one query.

    1 is one slip of the finger, 2 a fragment of the word; from 3 on what is two slips
    away or only sounds alike.
    """
    kind = NameToken.Kind
    typed = [w for w in spoken if w.isalpha() and len(w) >= FEWEST_LETTERS]
    if not typed:
        return {}
    keys = {word: near_keys(word) if len(word) > FEWEST_LETTERS else set()
            for word in typed}  # fmt: skip
    rows = [
        NameToken.objects.filter(kind=kind.NEAR, key__in=set().union(*keys.values())),
        NameToken.objects.filter(
            kind=kind.SOUND, key__in={heard for w in typed if (heard := sound(w))}
        ),
        *(
            NameToken.objects.filter(kind=kind.PART, key__gte=w, key__lt=w + LAST)
            for w in typed
        ),
    ]
    columns = [each.values_list("kind", "key", "token") for each in rows]
    near: _Near = {word: {} for word in typed}
    found = columns[0].union(*columns[1:], all=True)[:_TOKENS]
    for how, key, token in set(found):
        for word in typed:
            far = _FAR
            if how == kind.PART and key.startswith(word):
                far = 2
            elif how == kind.SOUND and key == sound(word):
                off = slips(word, token)
                far = off + 1 if off <= len(word) // 2 else _FAR
            elif how == kind.NEAR and key in keys[word]:
                off = slips(word, token)
                far = off if off < 2 else off + 1
            if far < _FAR and token != word:
                near[word][token] = min(far, near[word].get(token, far))
    return {
        word: dict(sorted(tokens.items(), key=lambda item: (item[1], item[0])))
        for word, tokens in near.items()
    }
