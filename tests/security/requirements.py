"""What is asked for in matters of security, and the tests that hold it: `docs/security-tests.md` is made from this."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["REQUIREMENTS", "Requirement"]


class Requirement(NamedTuple):
    """``source`` is a section of the specification of OBShell's interface, or empty: oboe's own. Tests are below ``tests``."""

    source: str
    what: str
    tests: tuple[str, ...]


REQUIREMENTS = (
    Requirement(
        "§4.1",
        "RSA key of 2048 bits, its public half as the vendor's client reads it",
        ("api/test_secrecy.py::test_the_public_key_is_what_the_vendors_library_reads",),
    ),
    Requirement(
        "§4.1",
        "private keys, passwords, cluster key and authority's key are sealed at rest",
        ("security/test_leaks.py::test_nothing_secret_is_left_anywhere", "store/test_sealing.py", "store/test_facts.py"),
    ),
    Requirement(
        "§4.2",
        "pieces of 53 bytes, read whatever their length",
        (
            "api/test_secrecy.py::test_pieces_are_53_bytes_so_that_a_key_of_512_bits_takes_them",
            "api/test_secrecy.py::test_a_block_of_the_plain_padding_is_read",
        ),
    ),
    Requirement(
        "§4.3",
        "both headers; of two the agent's counts; X-OCS-Auth alone is no header",
        (
            "api/test_auth.py::test_of_two_headers_the_agents_counts",
            "api/test_hostile.py::test_an_intruder_changes_nothing_and_is_told_why",
        ),
    ),
    Requirement("§4.3", "a header is for one target, query included", ("api/test_auth.py::test_a_header_for_another_target_is_refused",)),
    Requirement(
        "§4.3",
        "expiry: a ceiling of ten minutes, decimal seconds only",
        ("api/test_auth.py::test_a_header_is_valid_for_at_most_ten_minutes",),
    ),
    Requirement(
        "§4.3",
        "replays are refused, by the keys; the memory for them is bounded and forgets nobody too early",
        (
            "api/test_auth.py::test_a_header_is_used_once",
            "api/test_auth.py::test_the_same_keys_in_another_header_are_a_replay",
            "api/test_auth.py::test_of_many_replays_at_once_one_gets_through",
            "api/test_auth.py::test_no_header_is_ever_accepted_twice_however_little_room_there_is",
            "api/test_hostile.py::test_a_header_that_was_used_opens_no_route_again",
            "api/test_used_headers.py::test_no_used_header_is_good_again_after_a_kill",
            "api/test_used_headers.py::test_of_a_file_that_cannot_be_read_what_the_clients_of_before_made_is_refused",
        ),
    ),
    Requirement(
        "§4.3, §4.4",
        "one answer for whatever cannot be opened, header or body",
        (
            "api/test_auth.py::test_whatever_cannot_be_opened_is_answered_alike",
            "api/test_auth.py::test_a_body_that_cannot_be_opened_is_answered_like_a_header",
            "api/test_secrecy.py::test_a_header_that_cannot_be_opened_says_one_thing",
        ),
    ),
    Requirement(
        "§4.3",
        "and the same work, counted",
        ("security/test_strangers.py::test_a_header_that_cannot_be_opened_costs_the_same_work_wherever_it_breaks",),
    ),
    Requirement(
        "§4.3",
        "headers of 16 kB and more are read, and have an end",
        ("api/test_auth.py::test_a_header_of_sixteen_kilobytes_is_read", "api/test_http.py::test_headers_have_an_end"),
    ),
    Requirement(
        "§4.4",
        "bodies are bounded in size and time, one by one and together",
        (
            "api/test_http.py::test_a_body_too_long_is_refused_before_it_is_read",
            "api/test_http.py::test_a_chunked_body_too_long_is_refused",
            "api/test_hostile.py::test_a_body_that_never_comes_is_waited_for_no_longer_than_allowed",
            "security/test_strangers.py::test_bodies_together_hold_no_more_than_they_may_and_give_it_back",
        ),
    ),
    Requirement("§4.5", "each identity asks for its password", ("api/test_auth.py::test_each_identity_asks_for_its_password",)),
    Requirement(
        "§4.5",
        "a FOLLOWER passes on, the MASTER verifies",
        (
            "api/test_auth.py::test_a_follower_passes_everything_on_and_the_master_verifies_it",
            "api/test_auth.py::test_a_password_encrypted_for_a_follower_cannot_be_used_by_the_master",
        ),
    ),
    Requirement(
        "§4.6",
        "who may set the agent password; sessions end with it",
        (
            "api/test_auth.py::test_the_agent_password_is_set_by_whoever_knows_the_old_one",
            "api/test_auth.py::test_a_change_of_password_ends_every_session",
        ),
    ),
    Requirement(
        "§4.7",
        "the public routes are a declared list; every other route of every API asks who is there",
        (
            "security/test_routes.py::test_the_public_routes_are_these",
            "security/test_routes.py::test_nothing_else_is_answered_on_the_port",
            "security/test_routes.py::test_a_route_asks_who_is_there",
            "api/test_hostile.py::test_the_public_routes_are_these_and_open_no_header",
        ),
    ),
    Requirement(
        "§4.8",
        "sessions: idle time, end, one-time tokens used once and for a minute",
        (
            "api/test_auth.py::test_a_session_stands_for_the_password_until_it_is_ended",
            "api/test_auth.py::test_an_idle_session_expires",
            "api/test_auth.py::test_a_token_is_exchanged_once",
            "api/test_auth.py::test_an_old_token_is_refused",
        ),
    ),
    Requirement(
        "§4.9",
        "agents: mutual TLS; before it, sealed handshakes that cannot be altered, repeated or guessed",
        (
            "security/test_routes.py::test_the_port_of_agents_speaks_to_holders_of_a_certificate_only",
            "security/test_routes.py::test_handshakes_open_to_nobody_without_the_password",
            "remote/test_handshake.py::test_a_request_that_was_altered_changes_nothing",
            "remote/test_handshake.py::test_a_request_is_carried_out_once",
            "remote/test_handshake.py::test_the_memory_of_replays_is_bounded_and_forgets_what_has_expired",
        ),
    ),
    Requirement(
        "§4.10",
        "unix socket: by the caller's uid, no password; a header that is sent has to be right",
        (
            "security/test_local_socket.py::test_another_user_is_refused_even_where_the_file_lets_it_in",
            "security/test_local_socket.py::test_no_password_is_asked_for_there_and_bodies_are_plain",
            "security/test_local_socket.py::test_a_header_that_is_sent_all_the_same_has_to_be_right",
            "security/test_local_socket.py::test_nobody_on_the_network_can_say_that_he_is_local",
        ),
    ),
    Requirement(
        "§4.10, §5.4",
        "emergency start and stop, over the socket only",
        (
            "lifecycle/test_emergency.py::test_a_server_is_started_and_stopped_alone_while_nothing_else_answers",
            "lifecycle/test_emergency.py::test_nobody_asks_for_it_over_the_network",
        ),
    ),
    Requirement(
        "§7.4",
        "failed guesses are slowed down, over all APIs and handshakes together; nobody else waits",
        (
            "security/test_strangers.py::test_failures_are_counted_together_over_all_ways_in",
            "api/test_auth.py::test_only_those_who_keep_failing_wait",
            "ocp/test_users.py::test_failures_are_answered_later_and_later",
        ),
    ),
    Requirement(
        "",
        "TLS on the port: off, allowed, required; 1.2 and newer; certificates change without a restart",
        (
            "security/test_tls.py::test_one_port_answers_both_and_the_first_byte_tells",
            "security/test_tls.py::test_where_tls_is_required_plain_requests_are_told_so_in_each_dialect",
            "security/test_tls.py::test_older_protocols_are_refused",
            "security/test_tls.py::test_new_certificates_are_shown_to_the_next_connection",
            "security/test_tls.py::test_the_vendors_client_speaks_to_an_agent_before_and_after_it_has_a_cluster",
            "security/test_tls.py::test_a_joiner_reaches_a_master_whose_port_requires_tls",
        ),
    ),
    Requirement(
        "",
        "who is silent, drips, floods or never reads holds nobody up",
        (
            "security/test_tls.py::test_who_stops_in_the_middle_is_cut_off_and_holds_nobody_up",
            "security/test_tls.py::test_a_head_that_drips_is_cut_off_however_steadily",
            "security/test_tls.py::test_silent_connections_beyond_the_bound_are_closed_and_the_port_answers_again",
            "security/test_strangers.py::test_who_never_reads_its_answers_is_cut_off_by_the_system",
            "security/test_local_socket.py::test_who_floods_the_port_does_not_keep_the_hosts_own_people_out",
        ),
    ),
    Requirement(
        "",
        "no password, token or key in a log, answer, file, table, process list",
        (
            "security/test_leaks.py::test_nothing_secret_is_left_anywhere",
            "security/test_tls.py::test_no_key_of_a_certificate_is_written_down_in_plain",
            "spine/test_real_databases.py::test_neither_agents_nor_databases_leave_passwords_anywhere",
            "kit/test_mask.py",
        ),
    ),
    Requirement(
        "",
        "nor in a repr",
        (
            "security/test_reprs.py::test_a_field_that_sounds_secret_shows_nothing",
            "security/test_reprs.py::test_a_secret_shows_itself_in_no_way",
        ),
    ),
    Requirement(
        "",
        "whatever is in a home is its owner's alone",
        (
            "security/test_leaks.py::test_nothing_secret_is_left_anywhere",
            "security/test_local_socket.py::test_the_socket_is_its_owners_alone_and_goes_with_the_agent",
        ),
    ),
    Requirement(
        "",
        "OCP's users: hashes, keys sealed, sessions, one answer for unknown names and wrong passwords",
        (
            "ocp/test_users.py::test_passwords_are_kept_as_hashes_and_secrets_sealed",
            "ocp/test_users.py::test_an_unknown_name_and_a_wrong_password_are_answered_alike",
            "ocp/test_users.py::test_a_session_ends_with_its_password_and_with_its_user",
        ),
    ),
    Requirement(
        "",
        "hostile requests against every route: right code, bounded time, nothing changed",
        (
            "api/test_hostile.py::test_two_hundred_and_more_are_asked_and_every_route_is",
            "security/test_own_api.py::test_a_body_that_is_none_is_refused",
            "security/test_own_api.py::test_a_name_or_an_id_that_is_none_is_refused",
            "security/test_own_api.py::test_values_that_nobody_means_are_refused",
            "api/test_hostile.py::test_strangers_leave_nothing_in_the_store_of_an_agent",
            "ocp/test_hostile.py::test_every_request_has_its_answer_and_changes_nothing",
        ),
    ),
)
