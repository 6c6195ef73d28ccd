"""How much one user may ask, and what is said of it."""

from __future__ import annotations

from unittest import mock

import pytest

from oboe.api.ocp.rates import Rates, Standing
from oboe.domain.errors import Refused
from tests.ocp.site import Site


def test_a_minute_begins_with_the_first_request_in_it() -> None:
    rates = Rates(2)
    assert rates.count("a", 100.0) == Standing(2, 1, 60, False)
    assert rates.count("a", 130.5) == Standing(2, 0, 30, False)
    over = rates.count("a", 159.9)
    assert over == Standing(2, 0, 1, True)
    with pytest.raises(Refused, match="more than 2"):
        over.check()
    assert dict(over.headers)["Retry-After"] == "1"
    assert rates.count("b", 159.9) == Standing(2, 1, 60, False), "users do not count for one another"
    assert rates.count("a", 160.0) == Standing(2, 1, 60, False)


def test_no_bound_counts_nobody() -> None:
    assert Rates(0).count("a", 1.0) is None


def test_every_answer_says_what_is_left_and_too_much_is_429(shared_site: Site) -> None:
    with mock.patch.object(shared_site.agent.port._api._ocp, "_rates", Rates(3)):
        answers = [
            shared_site.viewer.get(path) for path in ("/instances", "/instances/abc", "/nonsense", "/instances/summary", "/instances")
        ]
        assert [answer.status for answer in answers] == [200, 400, 404, 200, 429]
        assert [answer.headers.get("ratelimit-remaining") for answer in answers] == ["2", "1", None, "0", "0"]
        assert answers[4].error == (429, 10003)
        assert int(answers[4].headers["retry-after"]) <= 60
        assert shared_site.manager.get("/instances").status == 200
    assert "ratelimit-limit" not in shared_site.client().get("/instances").headers
