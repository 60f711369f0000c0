"""Long work: watched, left, stopped, begun anew, and forgotten."""

import threading
import uuid
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import jobs
from accounts.jobs import (
    LEASE,
    MOST_TRIES,
    JobKind,
    Refused,
    cancel_job,
    claim,
    job_kinds,
    run_jobs,
    start_job,
    sweep_jobs,
)
from accounts.models import Job, Site
from accounts.roles import Role
from tests.factories import member_of_staff

pytestmark = pytest.mark.django_db


class Sorting:
    """A job that sorts letters, one a step; ``between`` is called after each."""

    def __init__(self, clock) -> None:
        self.clock = clock
        self.steps: list[str] = []
        self.between = lambda number: None

    def __call__(self, job, progress) -> None:
        for number, letter in enumerate(sorted(job.work["letters"]), start=1):
            self.steps.append(letter)
            job.result = {"sorted": "".join(self.steps)}
            self.clock.shift(2)
            self.between(number)
            progress(number, len(job.work["letters"]))


@pytest.fixture
def sorting(monday, monkeypatch):
    run = Sorting(monday)
    kind = JobKind(
        title="Sorting of letters",
        run=run,
        permission="patients.import_patient",
        template="components/messages.html",
        page="patients:patient_import",
    )
    monkeypatch.setitem(job_kinds._entries, "sort", kind)
    return run


@pytest.fixture
def femi(monday):
    return member_of_staff("femi", Role.FRONT_DESK)


@pytest.fixture
def job(sorting, femi):
    return started(femi)


def started(user, letters: str = "cab", **more) -> Job:
    work = {"letters": letters}
    more.setdefault("client_key", uuid.uuid4())
    return start_job(kind="sort", user=user, work=work, **more)


def now_of(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def test_a_job_runs_tells_how_far_it_is_and_forgets_its_work(job, sorting):
    seen = []
    sorting.between = lambda number: seen.append((now_of(job).done, now_of(job).state))
    assert run_jobs() == 1
    assert seen == [(0, "running"), (1, "running"), (2, "running")]
    job = now_of(job)
    assert (job.state, job.done, job.total, job.tries) == ("done", 3, 3, 1)
    assert (job.result, job.work) == ({"sorted": "abc"}, {})
    assert (job.lease_token, job.lease_until) == (None, None)
    assert run_jobs() == 0


def test_a_second_press_gets_the_same_job(sorting, femi):
    key = uuid.uuid4()
    first, again = (started(femi, client_key=key) for _time in range(2))
    assert first == again
    assert run_jobs() == 1


def test_progress_is_written_about_once_a_second(
    job, sorting, monday, django_assert_num_queries
):
    claimed = claim()
    progress = jobs.Progress(claimed)
    with django_assert_num_queries(1):
        progress(1)
        progress(2)
    assert now_of(job).done == 1
    monday.shift(1)
    progress(3)
    assert now_of(job).done == 3
    assert now_of(job).lease_until == timezone.now() + LEASE


def test_who_does_not_want_it_any_more_stops_it_between_steps(job, sorting):
    sorting.between = lambda number: cancel_job(job=job) if number == 2 else None
    run_jobs()
    job = now_of(job)
    assert (job.state, job.result, job.work) == ("cancelled", {"sorted": "ab"}, {})


def test_a_job_that_waits_is_stopped_at_once(job, sorting):
    cancel_job(job=job)
    assert (now_of(job).state, now_of(job).work) == ("cancelled", {})
    assert run_jobs() == 0
    assert sorting.steps == []


def test_stopping_what_has_ended_changes_nothing(job, sorting):
    run_jobs()
    cancel_job(job=job)
    assert (now_of(job).state, now_of(job).cancel_wanted) == ("done", False)


def test_a_dead_workers_job_is_taken_up_after_its_lease(job, sorting, monday):
    claim()
    assert run_jobs() == 0
    monday.shift(LEASE)
    assert run_jobs() == 1
    assert (now_of(job).state, now_of(job).tries) == ("done", 2)


def test_after_three_deaths_it_has_failed(job, sorting, monday, caplog):
    for _death in range(MOST_TRIES):
        assert claim() is not None
        assert sweep_jobs() == 0
        monday.shift(LEASE)
    assert claim() is None
    assert sweep_jobs() == 1
    assert (now_of(job).state, now_of(job).work) == ("failed", {})
    assert [record.job for record in caplog.records] == [job.pk]


def test_a_worker_that_comes_back_too_late_writes_nothing(job, sorting, monday):
    """It slept past its lease, and the job is another worker's by now."""

    def sleep(number: int) -> None:
        if number == 1:
            sorting.between = lambda number: None
            monday.shift(LEASE)
            assert run_jobs() == 1

    sorting.between = sleep
    run_jobs()
    assert now_of(job).tries == 2
    assert now_of(job).result == {"sorted": "aabc"}
    assert sorting.steps == ["a", "a", "b", "c"]


def test_an_error_is_logged_by_place_and_told_by_number(
    job, sorting, femi, client, caplog
):
    def broken(number: int) -> None:
        raise RuntimeError("Grace Okafor cannot be sorted")

    sorting.between = broken
    run_jobs()
    assert now_of(job).state == "failed"
    (told,) = caplog.records
    assert (told.message, told.job) == ("a job failed", job.pk)
    client.force_login(femi)
    page = client.get(reverse("job_detail", args=[job.pk])).content.decode()
    assert f"it was job {job.pk}." in page
    assert "Grace" not in page


def test_a_refusal_is_told_in_its_own_words_and_language(sorting, femi, client):
    def refuse(number: int) -> None:
        raise Refused(_("English"))

    sorting.between = refuse
    with translation.override("es"):
        job = started(femi)
    run_jobs()
    assert now_of(job).result["says"] == "Inglés"
    client.force_login(femi)
    assert b"Ingl\xc3\xa9s" in client.get(reverse("job_detail", args=[job.pk])).content


def test_a_database_that_gives_way_ends_no_job(job, sorting, monday):
    def away(number: int) -> None:
        sorting.between = lambda number: None
        raise OperationalError

    sorting.between = away
    assert run_jobs() == 1
    assert now_of(job).state == "running"
    monday.shift(LEASE)
    assert run_jobs() == 1
    assert now_of(job).state == "done"


def test_who_may_not_do_it_any_more_is_told(job, sorting, femi):
    femi.groups.clear()
    run_jobs()
    assert now_of(job).state == "failed"
    assert now_of(job).result == {"says": "You may not do this any more."}
    assert sorting.steps == []


def test_one_job_at_a_time_the_oldest_first(sorting, femi, monday):
    first = started(femi)
    monday.shift(1)
    second = started(femi)
    assert claim() == first
    assert claim() is None
    monday.shift(LEASE)
    assert run_jobs() == 2
    assert now_of(first).ended_at < now_of(second).ended_at


def test_the_tick_of_cron_does_the_jobs_too(job, sorting, capsys):
    call_command("tick", "--until-idle")
    assert now_of(job).state == "done"
    assert "accounts.run_jobs 1" in capsys.readouterr().err


def test_jobs_are_forgotten_after_thirty_days(job, sorting, monday):
    run_jobs()
    monday.shift(timedelta(days=29))
    assert sweep_jobs() == 0
    monday.shift(timedelta(days=1))
    assert sweep_jobs() == 1
    assert not Job.objects.exists()


def test_ones_own_job_and_nobody_elses(job, sorting, femi, client):
    urls = [
        reverse(name, args=[job.pk])
        for name in ("job_detail", "job_progress", "job_cancel")
    ]
    client.force_login(member_of_staff("maya", Role.NURSE))
    assert [client.get(url).status_code for url in urls[:2]] == [404, 404]
    assert client.post(urls[2]).status_code == 404
    assert b"Sorting of letters" not in client.get(reverse("job_list")).content
    client.force_login(femi)
    assert [client.get(url).status_code for url in urls[:2]] == [200, 200]
    assert b"Sorting of letters" in client.get(reverse("job_list")).content
    assert client.post(urls[2])["Location"] == urls[0]
    assert now_of(job).state == "cancelled"


def test_the_page_asks_again_until_the_job_has_ended(job, sorting, femi, client):
    client.force_login(femi)
    url = reverse("job_progress", args=[job.pk])
    waiting = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="every 2s"' in waiting
    assert '{"X-Poll": "1"}' in waiting
    run_jobs()
    ended = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "hx-trigger" not in ended
    assert 'id="job-cancel" hx-swap-oob="true"' in ended
    whole = client.get(reverse("job_detail", args=[job.pk])).content.decode()
    assert "Stop it" not in whole


def test_nobody_loads_the_work_to_look_at_a_job(
    job, sorting, femi, client, django_assert_max_num_queries
):
    client.force_login(femi)
    for url in (reverse("job_detail", args=[job.pk]), reverse("job_list")):
        with django_assert_max_num_queries(15) as queries:
            client.get(url)
        asked = [q["sql"] for q in queries if "accounts_job" in q["sql"]]
        assert asked
        assert not any('"accounts_job"."work"' in sql for sql in asked)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_has_the_job():
    user = member_of_staff("femi", Role.FRONT_DESK, Site.objects.create(name="H"))
    for _job in range(3):
        Job.objects.create(
            kind="sort", user=user, created_at=timezone.now(), language="en"
        )
    start, claimed = threading.Barrier(8), []

    def work() -> None:
        start.wait()
        claimed.append(claim())
        connection.close()

    workers = [threading.Thread(target=work) for _worker in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len([job for job in claimed if job is not None]) == 1
    assert Job.objects.filter(state="running").count() == 1
