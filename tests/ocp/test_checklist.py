"""The conformance checklist of `ocp-task.md` §8: each line, and the tests that hold it. A name that is no test fails here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
HERE = "ocp/test_"

CHECKLIST: dict[str, tuple[str, ...]] = {
    "1 the example, key by key": (
        HERE + "wire.py::test_the_example_of_the_reference_page_is_reproduced_key_by_key",
        HERE + "wire.py::test_old_spellings_are_taken",
    ),
    "2 data absent on skip and cancel, downstreams of sinks": (
        HERE + "operating.py::test_a_skip_goes_on_and_of_the_last_step_completes_the_task",
        HERE + "operating.py::test_a_cancel_of_one_lets_its_siblings_go_on",
        HERE + "wire.py::test_wide_nodes_have_places_and_whole_neighbours",
    ),
    "3 paging and order": (
        HERE + "wire.py::test_the_first_page_is_1_and_the_newest_come_first",
        HERE + "wire.py::test_pages_that_are_none_are_refused",
        HERE + "wire.py::test_a_size_that_is_too_large_is_the_largest",
        HERE + "wire.py::test_each_documented_field_sorts",
        HERE + "wire.py::test_an_unknown_order_is_refused",
    ),
    "4 errors, in two languages": (
        HERE + "wire.py::test_every_error_has_its_status_and_code",
        HERE + "wire.py::test_messages_are_english_or_chinese",
        HERE + "users.py::test_who_is_not_known_gets_401_and_is_asked_for_basic",
    ),
    "5 signatures": (
        HERE + "signing.py::test_vectors",
        HERE + "signing.py::test_a_clock_may_be_less_than_a_quarter_of_an_hour_away",
        HERE + "signing.py::test_the_query_is_signed_in_one_form",
        HERE + "signing.py::test_signed_headers_are_sorted_by_name_and_their_values_are_not",
        HERE + "signing.py::test_headers_that_come_twice_are_signed_in_their_order",
        HERE + "signing.py::test_what_was_changed_on_the_way_is_refused",
    ),
    "6 old spellings": (HERE + "wire.py::test_old_spellings_are_taken",),
    "7 every row, every forbidden pair": (
        HERE + "states.py::test_both_dialects_show_one_dag_in_their_own_words",
        HERE + "operating.py::test_every_pair_of_state_and_operation_is_granted_or_refused_with_20003",
    ),
    "8 two failed siblings, one retried": (HERE + "operating.py::test_a_retry_of_one_keeps_the_task_running_until_it_ends",),
    "9 cancel": (
        HERE + "operating.py::test_a_cancel_stops_a_run_a_retry_and_an_undo",
        HERE + "operating.py::test_a_second_cancel_changes_nothing_and_success_wins_the_race",
    ),
    "10 skip": (
        HERE + "operating.py::test_a_skip_goes_on_and_of_the_last_step_completes_the_task",
        HERE + "operating.py::test_a_skip_backward_takes_an_undo_as_done",
    ),
    "11 rollback from the middle of a diamond": (
        HERE + "operating.py::test_a_rollback_from_the_middle_of_a_diamond_is_exactly_backward",
        HERE + "operating.py::test_a_rollback_goes_backward_and_can_be_asked_again",
        HERE + "operating.py::test_a_skip_backward_takes_an_undo_as_done",
    ),
    "12 prohibitRollback flips": (HERE + "states.py::test_rollback_is_prohibited_once_a_step_that_cannot_be_undone_has_begun",),
    "13 finishTime": (HERE + "states.py::test_times_are_there_only_when_they_have_come",),
    "14 graphs": (
        HERE + "operating.py::test_general_graphs_run_and_are_shown_whole_by_both",
        "domain/test_plan.py::",
    ),
    "16 step ages": (HERE + "operating.py::test_a_step_that_has_run_for_days_is_cancelled_timed_out_and_retried",),
    "17 kill, partition, fencing": ("engine/test_crash.py::", "engine/test_lease.py::", "engine/test_remote.py::"),
    "18 many finished tasks": ("store/test_headers.py::test_headers_are_chosen_by_state_and_by_time",),
    "20 logs": (
        HERE + "operating.py::test_a_log_has_a_separator_for_each_attempt_and_can_be_read_in_parts",
        HERE + "operating.py::test_no_part_of_a_log_cuts_a_character",
        HERE + "operating.py::test_a_log_is_followed_to_its_end",
        HERE + "operating.py::test_a_diagnosis_holds_the_graph_and_every_execution",
    ),
    "21 both APIs": (
        HERE + "states.py::test_both_dialects_show_one_dag_in_their_own_words",
        HERE + "operating.py::test_a_retry_over_obshell_is_seen_over_ocp",
        HERE + "operating.py::test_a_rollback_over_obshell_is_seen_over_ocp",
        HERE + "operating.py::test_cancel_and_pass_over_obshell_are_seen_over_ocp",
        HERE + "ids.py::test_an_agents_own_dags_come_back_from_their_ids",
        HERE + "cluster.py::test_every_agent_tells_the_same_of_the_same_tasks_to_the_same_users",
    ),
}
NOT_HERE = {
    "15 concurrency limits": "a task has none: an agent runs so many steps at once, whosever they are",
    "19 schedules": "oboe has no schedules",
    "22 the dashboard": "its own tests",
}


@pytest.mark.parametrize("line", CHECKLIST)
def test_each_line_has_tests_that_exist(line: str) -> None:
    for named in CHECKLIST[line]:
        path, _, name = named.partition("::")
        text = (TESTS / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {name or 'test_'}", text, re.MULTILINE), f"{named} is gone"


def test_no_line_is_left_out() -> None:
    assert sorted(int(line.split()[0]) for line in (*CHECKLIST, *NOT_HERE)) == list(range(1, 23))
