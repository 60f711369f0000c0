"""How often something may be tried, and whom a try is counted with."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test import RequestFactory

from accounts.addresses import client_ip, network_of
from accounts.models import Throttle
from accounts.throttling import Tries, put_back, sweep_throttles, take, wait

pytestmark = pytest.mark.django_db

HOURLY = {"limit": 3, "per": timedelta(hours=1)}


def test_three_tries_then_none_and_one_more_after_a_third_of_the_time(monday):
    assert [take("code", "femi", **HOURLY) for _ in range(4)] == [True] * 3 + [False]
    assert wait("code", "femi", **HOURLY) == timedelta(minutes=20)
    monday.shift(timedelta(minutes=19))
    assert take("code", "femi", **HOURLY) is False
    monday.shift(timedelta(minutes=2))
    assert take("code", "femi", **HOURLY) is True
    assert take("code", "femi", **HOURLY) is False


def test_a_refused_try_makes_nobody_wait_longer(monday):
    for _ in range(3):
        take("code", "femi", **HOURLY)
    for _ in range(50):
        take("code", "femi", **HOURLY)
    assert wait("code", "femi", **HOURLY) == timedelta(minutes=20)


def test_people_and_kinds_are_counted_apart(monday):
    for _ in range(3):
        take("code", "femi", **HOURLY)
    assert take("code", "maya", **HOURLY) is True
    assert take("login", "femi", **HOURLY) is True


def test_a_right_try_does_not_count(monday):
    for _ in range(20):
        assert take("code", "femi", **HOURLY) is True
        put_back("code", "femi", **HOURLY)


def test_the_table_names_nobody(monday):
    take("login", "femi", **HOURLY)
    (bucket,) = Throttle.objects.all()
    assert "femi" not in bucket.key
    assert len(bucket.key) == 64


def test_empty_buckets_are_swept_and_full_ones_are_not(monday):
    take("code", "femi", **HOURLY)
    monday.shift(timedelta(hours=20))
    take("code", "maya", **HOURLY)
    monday.shift(timedelta(hours=5))
    assert sweep_throttles() == 1
    assert Throttle.objects.count() == 1


def test_a_bucket_that_would_be_swept_too_early_is_refused():
    with pytest.raises(ValueError, match="longer"):
        take("code", "femi", limit=1, per=timedelta(days=2))


def test_whoever_is_refused_is_told_when_to_come_back(monday):
    tries = Tries("code", 1, timedelta(minutes=10))
    tries.insist("femi")
    with pytest.raises(Exception, match="Try again in 10 minutes"):
        tries.insist("femi")


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_no_more_get_through():
    """On PostgreSQL they wait for one row, on SQLite for the database."""
    passed = []
    start = threading.Barrier(12)

    def attempt() -> None:
        start.wait()
        passed.append(take("login", "femi", limit=5, per=timedelta(hours=1)))
        connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(passed) == [False] * 7 + [True] * 5
    assert Throttle.objects.get().taken == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "said"),
    [
        (0, None, "203.0.113.9"),
        (0, "198.51.100.1", "203.0.113.9"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.1, 198.51.100.1", "198.51.100.1"),
        (2, "198.51.100.1, 10.0.0.1", "198.51.100.1"),
        (2, "1.2.3.4, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        (2, "198.51.100.1", "203.0.113.9"),
        (1, "nonsense", "203.0.113.9"),
        (1, "::ffff:198.51.100.1", "198.51.100.1"),
        (1, "2001:DB8::1", "2001:db8::1"),
        (1, "198.51.100.1:443", "198.51.100.1"),
        (1, "10.0.0.1, [2001:db8::1]:443", "2001:db8::1"),
        (1, "[2001:db8::1]", "2001:db8::1"),
        (1, "[2001:db8::1", "203.0.113.9"),
        (1, "198.51.100.1:", "203.0.113.9"),
    ],
)
def test_only_the_entries_of_known_proxies_are_believed(
    settings, proxies, forwarded, said
):
    settings.PROXY_COUNT = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="203.0.113.9")
    assert client_ip(request) == said


def test_no_address_at_all_is_none(settings):
    settings.PROXY_COUNT = 0
    assert client_ip(RequestFactory().get("/", REMOTE_ADDR="")) is None


def test_a_whole_ipv6_network_is_one_machine():
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("198.51.100.1") == "198.51.100.1"
