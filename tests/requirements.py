"""The rule, clause by clause, and the tests that hold each of them. Data for test_requirements.py.

The first group is the rule as AGENTS.md has it; the second is what the guard owes to those who
rely on it (design rules that must not bend).
"""

from __future__ import annotations

from typing import NamedTuple


class Clause(NamedTuple):
    """One clause, in the rule's words, and its tests as ``module::function``."""

    text: str
    tests: tuple[str, ...]


CLAUSES: dict[str, Clause] = {
    # --- the rule ---
    "stop-and-ask": Clause(
        "stop and ask the human",
        (
            "test_end_to_end::test_a_granted_name_reaches_the_agent_that_waits",
            "test_end_to_end::test_two_clients_share_one_question_and_its_answer",
            "test_review::test_a_question_is_on_screen_within_a_second",
            "test_review::test_a_question_that_comes_right_after_a_look_is_not_overlooked",
            "test_review::test_a_question_is_found_without_a_bell",
            "test_review::test_a_review_that_is_left_takes_its_bell_along",
            "test_scan::test_asking_puts_each_finding_into_the_queue_once",
        ),
    ),
    "any-place": Clause(
        "code, file names, docstrings, comments, tests, fixtures, payloads, errors, logs, commit"
        " messages, branch names, pull request text",
        (
            "test_end_to_end::test_each_of_several_names_gets_its_own_place_and_answer",
            "test_end_to_end::test_this_file_only_allows_there_and_asks_elsewhere",
            "test_elicitation::test_forms_ask_about_each_of_a_few_names",
            "test_server::test_the_first_250_characters_hold_the_whole_rule",
            "test_scan::test_a_name_in_a_file_is_found_in_its_place",
            "test_scan::test_a_name_in_a_commit_message_is_found_in_its_commit_and_line",
            "test_scan::test_a_name_in_the_branch_is_found",
            "test_scan::test_a_name_in_a_tag_and_its_note_is_found",
            "test_scan::test_a_name_in_the_pull_requests_title_and_body_is_found",
            "test_scan::test_a_name_is_one_finding_with_all_its_places",
        ),
    ),
    "not-contained": Clause(
        "any third-party organisation name that this repository does not already contain",
        (
            "test_index::test_substring_establishes_nothing",
            "test_index::test_file_that_nobody_wrote_names_into_establishes_nothing",
            "test_index::test_encoded_blob_establishes_nothing",
            "test_index::test_ordinary_word_in_ordinary_use_is_asked_about",
            "test_names::test_every_spelling_of_acme_has_one_key",
            "test_scan::test_a_name_that_the_base_has_is_quiet",
            "test_broken_guards::test_green_means_not_on_the_list",
        ),
    ),
    "never-write-first": Clause(
        "do not write the name and clean up later",
        (
            "test_end_to_end::test_calling_again_gets_the_answer_given_meanwhile_and_asks_nobody_twice",
            "test_repository::test_working_tree_staging_area_and_own_commits_establish_nothing",
        ),
    ),
    "no-placeholder": Clause(
        "do not put a placeholder in its place and carry on",
        (
            "test_end_to_end::test_a_refusal_carries_the_humans_words_and_no_substitute",
            "test_server::test_the_first_250_characters_hold_the_whole_rule",
        ),
    ),
    "no-assumption": Clause(
        "do not assume that it is safe because it looks like a public company",
        (
            "test_index::test_ordinary_word_that_the_base_lacks_is_asked_about",
            "test_cli_check::test_exit_code_is_0_when_all_are_allowed_and_1_otherwise",
        ),
    ),
    "established": Clause(
        "names established in real code are fine, not those of the current change alone",
        (
            "test_index::test_spelling_establishes_the_name_at_its_line",
            "test_index::test_path_component_establishes_the_name",
            "test_index::test_ordinary_word_used_as_a_name_is_established",
            "test_repository::test_base_is_the_merge_base_with_the_remotes_default_branch",
            "test_repository::test_clone_of_the_change_alone_never_takes_the_change_for_its_base",
            "test_end_to_end::test_a_running_server_follows_a_base_that_moves",
            "test_scan::test_the_change_is_what_came_since_the_merge_base",
            "test_scan::test_the_staging_area_is_scanned_without_what_is_not_staged",
            "test_scan::test_the_working_tree_is_scanned_tracked_and_untracked_without_ignored",
        ),
    ),
    "markers": Clause(
        "example.com, localhost, 127.0.0.1, test@example.com, team_a, user_1, tenant_x are fine",
        (
            "test_reserved::test_a_marker_is_reserved",
            "test_reserved::test_a_near_miss_is_not_reserved",
            "test_reserved::test_a_reserved_domain_hides_no_name",
            "test_scan::test_reserved_markers_are_quiet",
        ),
    ),
    "capability": Clause(
        "frame a change by the capability that it adds, not by the customer who asked for it",
        ("test_end_to_end::test_a_refusal_carries_the_humans_words_and_no_substitute",),
    ),
    # --- what the guard owes ---
    "only-a-human": Clause(
        "only a human at an interactive terminal, or a form that somebody filled in, decides",
        (
            "test_review::test_enter_decides_nothing_and_helps",
            "test_review::test_a_wrongly_typed_name_decides_nothing",
            "test_review::test_the_name_may_be_typed_in_another_spelling",
            "test_review::test_what_was_typed_before_the_question_does_not_count",
            "test_review::test_a_question_mark_explains_every_key",
            "test_review::test_leaving_decides_nothing",
            "test_review::test_an_idle_review_can_be_left",
            "test_review::test_review_refuses_without_a_terminal",
            "test_review::test_an_answer_is_refused_in_a_shell_that_an_agent_opened",
            "test_review::test_a_review_beneath_the_asking_client_is_refused",
            "test_elicitation::test_a_chosen_answer_counts_as_the_humans",
            "test_elicitation::test_whatever_is_no_chosen_answer_leaves_the_question_to_the_terminal",
            "test_elicitation::test_a_client_that_cannot_show_forms_is_sent_none",
            "test_elicitation::test_the_form_refuses_by_default_and_shows_the_agents_words_escaped",
        ),
    ),
    "first-wins": Clause(
        "the first decision wins, whoever gave it; the others are told",
        (
            "test_end_to_end::test_the_first_of_two_reviewers_wins_and_the_other_is_told",
            "test_elicitation::test_a_form_accepted_first_is_told_to_the_reviewer",
            "test_elicitation::test_the_terminals_answer_withdraws_the_form",
            "test_elicitation::test_the_terminals_answer_wins_over_a_form_still_up",
            "test_elicitation::test_a_late_forms_answer_decides_only_the_question_that_it_showed",
            "test_ledger::test_of_many_threads_one_decision_stands_and_all_are_told_which",
            "test_shared_faults::test_who_decides_learns_who_won_when_another_decided_before_it_could_ask",
        ),
    ),
    "nothing-is-lost": Clause(
        "a question and a decision survive a kill of anybody at any time",
        (
            "test_end_to_end::test_a_question_outlives_its_killed_client",
            "test_end_to_end::test_a_question_outlives_its_killed_server",
            "test_end_to_end::test_a_client_that_dies_while_it_waits_leaves_no_server_and_no_noise",
            "test_end_to_end::test_a_cancelled_call_leaves_its_question_in_the_queue",
            "test_end_to_end::test_a_client_may_start_a_server_for_every_call",
            "test_end_to_end::test_a_withdrawn_name_is_undecided_again",
            "test_elicitation::test_a_form_that_nobody_answers_is_withdrawn_and_the_question_stays",
            "test_review::test_s_leaves_the_question_until_another_place_is_asked_for",
            "test_ledger_crash::test_killed_writers_lose_nothing_that_they_acknowledged",
            "test_shared_faults::test_nothing_that_was_acknowledged_is_lost_or_doubled_when_things_are_killed",
        ),
    ),
    "undecided-is-never-allow": Clause(
        "what cannot be checked is not allowed, and says what was not done, why, and what next",
        (
            "test_cli_check::test_missing_base_is_exit_3_and_says_what_why_and_what_next",
            "test_cli_check::test_unusable_ledger_is_exit_3_for_a_name_that_it_might_refuse",
            "test_server::test_a_directory_outside_git_is_told_with_cause_and_next_step",
            "test_server::test_bad_arguments_are_denied_and_nothing_is_asked",
            "test_index_cache::test_forged_path_establishes_nothing",
            "test_end_to_end::test_a_dry_run_says_what_it_would_ask_at_once_and_stores_nothing",
            "test_scan::test_the_exit_code_is_the_same_in_every_format",
            "test_scan::test_a_shallow_clone_without_the_base_is_not_checked_and_says_how_to_mend_it",
            "test_scan::test_an_unusable_ledger_is_no_pass",
            "test_broken_guards::test_a_wrong_setting_matches_nothing_and_prints_pass",
            "test_broken_guards::test_lost_data_matches_nothing_and_prints_pass",
        ),
    ),
    "only-the-base-allows": Clause(
        "nothing that the change brings lets it pass: no comment, marker, policy or attribute",
        (
            "test_scan::test_a_policy_that_the_change_brings_does_nothing",
            "test_broken_guards::test_an_inline_comment_is_obeyed",
            "test_broken_guards::test_a_skip_marker_is_obeyed",
            "test_broken_guards::test_an_allow_entry_of_the_change_is_obeyed",
            "test_broken_guards::test_the_scanner_exempts_itself",
            "test_broken_guards::test_gits_variables_turn_the_scan_to_another_repository",
        ),
    ),
    "silence-is-no-pass": Clause(
        "a scan says of each place a name can be in what it read, and what not and why",
        (
            "test_scan::test_the_coverage_has_each_surface_and_why_nothing_of_it_was_scanned",
            "test_scan::test_what_could_not_be_read_fails_where_the_base_says_so",
            "test_broken_guards::test_messages_are_unscanned_while_green",
        ),
    ),
    "no-leak": Clause(
        "a name under question reaches no log, error or pipe",
        (
            "test_end_to_end::test_no_name_and_no_word_of_the_agents_reaches_the_servers_log",
            "test_review::test_lists_show_names_to_their_own_user_only",
            "test_names::test_the_error_never_repeats_the_name",
            "test_scan::test_names_are_hidden_on_both_outputs_and_what_was_found_is_counted",
            "test_scan::test_a_terminal_of_a_ci_system_and_a_machines_format_hide_names",
            "test_scan::test_an_error_tells_no_name_of_the_change",
            "test_scan::test_a_fingerprint_is_not_made_of_the_name",
            "test_broken_guards::test_the_guard_publishes_its_own_list",
        ),
    ),
    "nothing-raw": Clause(
        "nothing that an agent sends reaches a terminal raw",
        (
            "test_review::test_an_agents_text_reaches_no_terminal_raw",
            "test_review::test_what_an_agent_sends_is_escaped_cut_and_marked",
            "test_display::test_nothing_raw_reaches_a_terminal",
            "test_scan::test_on_a_terminal_nothing_of_the_change_is_written_raw",
        ),
    ),
    "signed": Clause(
        "a grant that CI honours is signed by an approver whom the base lists, for this alone",
        (
            "test_signed_consent::test_a_signed_grant_passes_the_scan_in_a_fresh_clone",
            "test_signed_consent::test_the_same_change_without_the_grant_fails",
            "test_signed_consent::test_the_grant_and_what_git_publishes_with_it_do_not_hold_the_name",
            "test_signed_consent::test_any_byte_of_the_grant_matters",
            "test_signed_consent::test_the_name_and_the_path_matter",
            "test_signed_consent::test_the_approvers_of_the_base_matter",
            "test_signed_consent::test_another_branch_cannot_use_a_grant_for_one_change",
            "test_signed_consent::test_a_wrong_passphrase_decides_nothing",
            "test_signed_consent::test_a_yes_counts_from_the_level_that_the_policy_asks_for",
            "test_signed_consent::test_a_refusal_counts_at_every_level",
            "test_signed_consent::test_what_was_refused_since_is_not_offered_for_a_signature",
            "test_signed_consent::test_what_is_protected_since_is_not_offered_for_a_signature",
            "test_signed_consent::test_what_waits_for_a_signature_is_not_asked_about_again",
            "test_signed_consent::test_no_form_is_shown_where_it_could_not_say_yes",
            "test_signed_consent::test_decisions_of_a_lower_level_are_signed_in_one_go",
            "test_signed_consent::test_who_is_no_approver_is_told_what_a_yes_is_worth",
            "test_signed_consent::test_a_grant_is_laid_into_the_working_tree_that_asked",
            "test_signed_consent::test_a_withdrawn_grant_counts_nowhere_once_that_is_merged",
            "test_signed_consent::test_grants_are_listed_written_and_pruned",
        ),
    ),
    "protected": Clause(
        "a protected name is denied, unless an approver signs for it by name",
        (
            "test_signed_consent::test_an_approver_who_names_it_lifts_protection",
            "test_signed_consent::test_an_ordinary_grant_does_not_lift_protection",
            "test_signed_consent::test_protection_is_lifted_on_one_branch_alone",
            "test_signed_consent::test_who_is_no_approver_lifts_nothing",
        ),
    ),
    "canary": Clause(
        "no byte that is emitted, stored or passed on holds a name that was planted",
        (
            "test_canary::test_the_canary_sees_what_it_looks_for",
            "test_canary::test_no_format_of_a_scan_says_the_name",
            "test_canary::test_no_scan_of_what_is_not_committed_says_the_name",
            "test_canary::test_no_text_that_is_scanned_is_repeated",
            "test_canary::test_an_error_about_what_the_caller_typed_stores_nothing",
            "test_canary::test_the_queue_and_the_log_hide_names",
            "test_canary::test_an_incident_is_told_without_the_name",
            "test_canary::test_protected_names_leave_fingerprints_alone",
            "test_canary::test_the_server_says_names_to_its_caller_alone",
        ),
    ),
    "hostile-client": Clause(
        "what a client puts into a question decides nothing beside it",
        (
            "attacks.test_questions::test_an_excerpt_that_hides_a_second_name",
            "attacks.test_questions::test_a_client_that_asks_too_much_is_refused_at_once",
            "attacks.test_questions::test_another_spelling_is_the_same_question",
        ),
    ),
}

ACCEPTANCE = (
    "test_end_to_end", "test_elicitation", "test_review", "test_signed_consent", "test_canary",
)  # fmt: skip
"""Modules whose every test serves a clause."""
