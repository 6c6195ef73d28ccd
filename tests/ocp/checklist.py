"""The conformance checklist of `ocp-task.md` §8, clause by clause: the tests that hold each, or what is not there.

A name is a file below ``tests`` and a function in it, or a file alone: all of it. `tools.ocp_conformance_docs` writes the page from this
and refuses a name that is no test.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LINES", "STATE_MACHINE", "Clause", "Line"]

WIRE, STATES, OPERATING, SIGNING = "ocp/test_wire.py", "ocp/test_states.py", "ocp/test_operating.py", "ocp/test_signing.py"
USERS, CLUSTER, MACHINE = "ocp/test_users.py", "ocp/test_cluster.py", "domain/test_machine.py"
PAIRS = f"{OPERATING}::test_every_pair_of_state_and_operation_is_granted_or_refused_with_20003"
SHOWN = f"{STATES}::test_both_dialects_show_one_dag_in_their_own_words"


@dataclass(frozen=True)
class Clause:
    """One thing that the checklist asks for. ``missing`` says why it is not there, or what else is."""

    text: str
    tests: tuple[str, ...] = ()
    missing: str = ""


@dataclass(frozen=True)
class Line:
    number: int
    title: str
    clauses: tuple[Clause, ...]


def held(text: str, *tests: str) -> Clause:
    return Clause(text, tests)


def absent(text: str, why: str, *tests: str) -> Clause:
    return Clause(text, tests, why)


STATE_MACHINE = (
    held("T1 submit: RUNNING/EXECUTE, roots READY", f"{OPERATING}::test_general_graphs_run_and_are_shown_whole_by_both", SHOWN),
    held("T2 all done: SUCCESSFUL", SHOWN, f"{MACHINE}::test_a_chain_runs_to_its_end_and_settles_once"),
    held("T3 one failed, none runs: FAILED", SHOWN),
    held("T4 one failed, others run: they are let end, nothing begins", f"{OPERATING}::test_a_cancel_of_one_lets_its_siblings_go_on"),
    held("T5 all undone: SUCCESSFUL/ROLLBACK", SHOWN, f"{OPERATING}::test_a_rollback_goes_backward_and_can_be_asked_again"),
    held("T6 an undo failed: FAILED/ROLLBACK", SHOWN, f"{OPERATING}::test_a_rollback_goes_backward_and_can_be_asked_again"),
    absent(
        "T7 the scan throws: FAILED",
        "a dag that cannot be advanced is set aside, named in the agent's readiness, and stops no other",
        "engine/test_agent_home.py::test_a_dag_that_cannot_be_advanced_is_set_aside_and_stops_no_other",
    ),
    held("T8 retry of a failed task", f"{OPERATING}::test_a_retry_undoes_and_runs_what_failed"),
    held("T9 a failed rollback is not retried", f"{OPERATING}::test_a_rollback_goes_backward_and_can_be_asked_again", PAIRS),
    held("T10 rollback of a failed task", f"{OPERATING}::test_a_rollback_goes_backward_and_can_be_asked_again"),
    held("T11 retry or skip of one sub-task: RUNNING", f"{OPERATING}::test_a_retry_of_one_keeps_the_task_running_until_it_ends"),
    held("T12, T13 neither of what runs or is over", f"{OPERATING}::test_only_a_failed_task_is_retried_or_rolled_back", PAIRS),
    held("S1, S2 made PENDING, READY once all upstreams are done", SHOWN, f"{MACHINE}::test_a_diamond_waits_for_both_sides"),
    held("S3, S4 claimed and ended", SHOWN, f"{STATES}::test_times_are_there_only_when_they_have_come"),
    held("S5 a skip runs nothing", f"{OPERATING}::test_a_skip_goes_on_and_of_the_last_step_completes_the_task"),
    held("S6 an undo ends PENDING/ROLLBACK", SHOWN),
    held("S7 a skipped undo runs nothing", f"{OPERATING}::test_a_skip_backward_takes_an_undo_as_done"),
    held(
        "S8 error, timeout, interrupt: FAILED",
        SHOWN,
        f"{OPERATING}::test_a_step_that_has_run_for_days_is_cancelled_timed_out_and_retried",
        "engine/test_agent_home.py::test_a_timeout_interrupts_and_fails",
    ),
    held("S9, S11 cancel: CANCELING, then FAILED/CANCEL", f"{OPERATING}::test_a_cancel_stops_a_run_a_retry_and_an_undo", SHOWN),
    absent("S10 RUNNING/CANCEL in between", "CANCELING lasts until the agent has confirmed the end: one state less to meet"),
    held("S12 automatic retry", f"{MACHINE}::test_an_automatic_retry_rests_as_running_and_then_undoes_first"),
    held("S13, S14 retry of one, of the task", f"{OPERATING}::test_a_retry_of_one_keeps_the_task_running_until_it_ends", PAIRS),
    held("S15, S16 skip forward, backward", f"{OPERATING}::test_a_skip_backward_takes_an_undo_as_done", PAIRS),
    held(
        "S17, S18 rollback: last first, what never ran is left alone",
        f"{MACHINE}::test_a_rollback_undoes_downstream_first_and_what_never_began_not_at_all",
        f"{OPERATING}::test_a_rollback_from_the_middle_of_a_diamond_is_exactly_backward",
    ),
)
"""Rows of §3.8.1 and §3.8.2."""

LINES = (
    Line(
        1,
        "The example of the reference page, key by key",
        (
            held("keys, order, edges, words, times", f"{WIRE}::test_the_example_of_the_reference_page_is_reproduced_key_by_key"),
            held(
                "its task, for real: names, order, timeouts; what routes answer that make one",
                "ssh/test_reinstall.py::test_the_plan_is_the_reference_pages",
                "ssh/test_ocp_routes.py::test_the_answer_is_flat_and_its_first_sub_task_is_ready",
            ),
        ),
    ),
    Line(
        2,
        "Nothing where there is nothing",
        (
            held("no `data` on skip", f"{OPERATING}::test_a_skip_goes_on_and_of_the_last_step_completes_the_task"),
            held("no `data` on cancel", f"{OPERATING}::test_a_cancel_of_one_lets_its_siblings_go_on"),
            held("`downstreams: []` on sinks", f"{WIRE}::test_wide_nodes_have_places_and_whole_neighbours"),
        ),
    ),
    Line(
        3,
        "Pages and order",
        (
            held("page 1 first, past the end empty with right totals", f"{WIRE}::test_the_first_page_is_1_and_the_newest_come_first"),
            held("size 0, -1, x refused", f"{WIRE}::test_pages_that_are_none_are_refused"),
            held("size 2001 is 2000", f"{WIRE}::test_a_size_that_is_too_large_is_the_largest"),
            held("each field sorts", f"{WIRE}::test_each_documented_field_sorts", f"{WIRE}::test_status_and_end_sort_too"),
            held("unknown field 400", f"{WIRE}::test_an_unknown_order_is_refused"),
        ),
    ),
    Line(
        4,
        "Errors in the envelope",
        (
            held(
                "unknown id, text id, wrong state, prohibited rollback, no authentication, no permission, unknown route, stale version",
                f"{WIRE}::test_every_error_has_its_status_and_code",
                f"{WIRE}::test_an_error_says_what_is_and_what_may_be_asked",
                f"{USERS}::test_who_is_not_known_gets_401_and_is_asked_for_basic",
            ),
            held(
                "the same of the routes about hosts: HOST_MANAGER on that host, hosts that are none",
                "ssh/test_ocp_routes.py::test_who_has_no_permission_on_that_host_may_not",
                "ssh/test_ocp_routes.py::test_hosts_that_are_none_are_refused",
            ),
            held("a table of hostile requests: code, envelope, nothing changed", "ocp/test_hostile.py"),
            held("English and Chinese", f"{WIRE}::test_messages_are_english_or_chinese"),
            held(
                "none that the description does not name",
                "ocp/test_openapi.py::test_every_operation_keeps_what_the_description_promises",
                "ocp/test_openapi.py::test_so_does_it_of_a_task_that_there_is",
            ),
        ),
    ),
    Line(
        5,
        "Signatures",
        (
            held("the published vectors", f"{SIGNING}::test_the_published_requests_are_signed"),
            held("the three of §1.4", f"{SIGNING}::test_vectors"),
            held("skew 14:59 and 15:01", f"{SIGNING}::test_a_clock_may_be_less_than_a_quarter_of_an_hour_away"),
            held("changed body, path, query, header", f"{SIGNING}::test_what_was_changed_on_the_way_is_refused"),
            held(
                "header order, `x-ocp-` values as they were sent",
                f"{SIGNING}::test_signed_headers_are_sorted_by_name_and_their_values_are_not",
                f"{SIGNING}::test_headers_that_come_twice_are_signed_in_their_order",
            ),
            held(
                "repeated key, comma, space, plus, UTF-8",
                f"{SIGNING}::test_the_query_is_signed_in_one_form",
                f"{SIGNING}::test_other_ways_to_write_the_same_query_are_taken",
            ),
        ),
    ),
    Line(
        6,
        "Old spellings",
        (
            held("`SYS_ONECE`, `cluterName`", f"{WIRE}::test_old_spellings_are_taken"),
            held("`show_detail(s)`", "api/test_pages.py::test_show_detail_of_the_page_and_show_details_of_its_sample_both_count"),
        ),
    ),
    Line(7, "Every row of the state machine, each forbidden pair", (*STATE_MACHINE, held("each forbidden pair: 400/20003", PAIRS))),
    Line(
        8,
        "Two failed siblings, one retried",
        (held("RUNNING until it ends", f"{OPERATING}::test_a_retry_of_one_keeps_the_task_running_until_it_ends"),),
    ),
    Line(
        9,
        "Cancel",
        (
            held("during EXECUTE, RETRY, ROLLBACK", f"{OPERATING}::test_a_cancel_stops_a_run_a_retry_and_an_undo"),
            held("racing with success; twice", f"{OPERATING}::test_a_second_cancel_changes_nothing_and_success_wins_the_race"),
        ),
    ),
    Line(
        10,
        "Skip",
        (
            held("forward; of the last step", f"{OPERATING}::test_a_skip_goes_on_and_of_the_last_step_completes_the_task"),
            held("backward", f"{OPERATING}::test_a_skip_backward_takes_an_undo_as_done"),
        ),
    ),
    Line(
        11,
        "Rollback from the middle of a diamond",
        (
            held("exactly reverse", f"{OPERATING}::test_a_rollback_from_the_middle_of_a_diamond_is_exactly_backward"),
            held(
                "READY steps that never ran are not undone",
                f"{MACHINE}::test_a_rollback_undoes_downstream_first_and_what_never_began_not_at_all",
            ),
            held("failed undo: roll back again", f"{OPERATING}::test_a_rollback_goes_backward_and_can_be_asked_again"),
            held("failed undo: skip", f"{OPERATING}::test_a_skip_backward_takes_an_undo_as_done"),
        ),
    ),
    Line(
        12,
        "prohibitRollback flips once the step has begun",
        (
            held("not while PENDING or READY", f"{STATES}::test_rollback_is_prohibited_once_a_step_that_cannot_be_undone_has_begun"),
            held("20004 then", f"{OPERATING}::test_a_step_that_cannot_be_undone_forbids_the_rollback"),
        ),
    ),
    Line(
        13,
        "finishTime absent while RUNNING",
        (
            held(
                "forward, and after a retry",
                f"{STATES}::test_times_are_there_only_when_they_have_come",
                f"{OPERATING}::test_a_retry_undoes_and_runs_what_failed",
            ),
        ),
    ),
    Line(
        14,
        "Graphs",
        (
            held(
                "single, chain, several roots and sinks, diamond, nested fork, uneven, disconnected, split of 1000, split beside split, "
                "barriers",
                f"{OPERATING}::test_general_graphs_run_and_are_shown_whole_by_both",
            ),
            held(
                "SERIAL split: a chain, whose ends alone have its neighbours",
                "ocp/test_wire.py::test_a_serial_split_is_a_chain_whose_ends_alone_have_its_neighbours",
                "kit/test_playbook.py::test_one_of_a_serial_split_begins_when_the_one_before_it_is_done_and_a_failure_halts_the_rest",
            ),
            held(
                "cycle refused; empty split refused",
                "domain/test_plan.py::test_a_plan_that_cannot_be_is_refused",
                "ocp/test_wire.py::test_an_empty_split_is_refused_whichever_way_it_is_split",
            ),
            absent(
                "conflicting context keys",
                "there are no shared contexts: a step reads the result of the step that it names",
                "engine/test_agent_home.py::test_a_chain_runs_in_order_and_results_reach_the_next_step",
            ),
        ),
    ),
    Line(
        15,
        "Concurrency limits",
        (
            absent(
                "-1, 0, 1, n per task",
                "a task has no limit of its own: an agent runs so many steps at once, whosever they are",
                "engine/test_agent_home.py::test_a_wide_node_runs_all_its_sub_tasks_with_few_workers",
            ),
        ),
    ),
    Line(
        16,
        "Step ages 1, 2, 8 days",
        (held("cancel, timeout, retry", f"{OPERATING}::test_a_step_that_has_run_for_days_is_cancelled_timed_out_and_retried"),),
    ),
    Line(
        17,
        "Death, partition, fencing",
        (
            held(
                "kill -9 at every write and message",
                "crash/test_crash.py::test_nothing_is_lost_or_doubled_however_agents_are_killed",
            ),
            held("partition of the owner", "engine/test_remote.py::test_an_outcome_waits_for_a_home_that_is_away"),
            held(
                "a late write of a fenced worker",
                "engine/test_agent_home.py::test_a_report_of_an_earlier_attempt_or_an_unknown_dag_is_answered_stop",
                f"{MACHINE}::test_a_stale_report_changes_nothing_and_is_told_to_stop",
            ),
            held("two claim at once", "engine/test_lease.py::test_one_agent_holds_it_and_the_other_takes_over_when_it_stops"),
            held("recovery after a restart", "engine/test_crash.py"),
        ),
    ),
    Line(
        18,
        "Speed",
        (
            held("a page of 100 000 tasks reads what it shows", "store/test_searching.py"),
            held("pages while tasks are made; total orders", "ocp/test_lists.py"),
            absent(
                "10 000 finished and 100 running tasks",
                "nothing is scanned each second: the scheduler wakes on events; the safety net's minute is a setting",
                "engine/test_agent_home.py::test_the_safety_net_finds_what_nobody_told",
            ),
            absent("latency of a hop", "measured by `make bench`, not asserted by a test: the number is the machine's"),
        ),
    ),
    Line(
        19,
        "Schedules",
        (
            absent(
                "overlap, two servers, DST, missed window, invalid rule",
                "there are no schedules; a dag may have a time to start",
                "changes/test_start_later.py",
            ),
        ),
    ),
    Line(
        20,
        "Logs",
        (
            held("multi-byte text over borders", f"{OPERATING}::test_no_part_of_a_log_cuts_a_character"),
            held("offset without gap or repeat", f"{OPERATING}::test_a_log_has_a_separator_for_each_attempt_and_can_be_read_in_parts"),
            held("no secret in detail, list, log, diagnosis, answer", "ocp/test_secrets.py"),
            absent(
                "concurrent attempts", "there are none: attempt n+1 begins when n has ended", f"{MACHINE}::test_a_retry_undoes_then_does"
            ),
            absent(
                "a log of 100 MB",
                "an attempt keeps 20 000 lines of at most 16 KiB, and a request for a part of a log reads the whole of it first",
                "engine/test_agent_home.py::test_many_lines_arrive_complete_and_in_order",
            ),
            held("follow to the end", f"{OPERATING}::test_a_log_is_followed_to_its_end"),
            held("diagnosis", f"{OPERATING}::test_a_diagnosis_holds_the_graph_and_every_execution"),
        ),
    ),
    Line(
        21,
        "Both APIs on one dag",
        (
            held("every state of §5.4", SHOWN),
            held(
                "every operation through one, observed through the other",
                "ocp/test_both.py::test_what_is_asked_over_one_dialect_is_seen_over_both",
            ),
            held(
                "ids of OBShell there and back: IPv4, IPv6, OBProxy",
                "ocp/test_both.py::test_ids_of_obshell_come_back_whatever_the_address",
                "ocp/test_both.py::test_ids_of_an_obproxy_are_read_and_name_nothing",
            ),
            held("ids of OCP there and back", "ocp/test_ids.py"),
            held("a graph that is no chain is marked", f"{OPERATING}::test_general_graphs_run_and_are_shown_whole_by_both"),
            held("the same from every agent", f"{CLUSTER}::test_every_agent_tells_the_same_of_the_same_tasks_to_the_same_users"),
        ),
    ),
    Line(22, "The dashboard", (absent("each element of §6", "there is no dashboard yet"),)),
    Line(
        23,
        "Recommended beyond the checklist",
        (
            held("`Idempotency-Key`", "ocp/test_once.py", "store/test_request_keys.py"),
            held("`If-Match`, `expectedVersion`", f"{OPERATING}::test_a_change_of_the_version_that_was_seen_is_carried_out"),
            held("R1 to R9 with curl, with Basic and with AK/SK", "ocp/test_curl.py"),
            held("`RateLimit-` headers, 429", "ocp/test_rates.py"),
            held("membership check of sub-task paths", f"{WIRE}::test_a_sub_task_of_another_task_is_not_found"),
            held("unknown filter words", f"{WIRE}::test_unknown_words_are_refused_with_those_that_there_are"),
            held("counts per status", f"{WIRE}::test_counts_per_status"),
            held("an audit record with before and after", f"{OPERATING}::test_every_operator_is_written_down_with_before_and_after"),
        ),
    ),
)
