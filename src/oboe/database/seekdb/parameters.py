"""The parameters that seekdb 1.4 has, by type: what ``SHOW PARAMETERS`` lists, without those that oboe sets or that are internal."""

from __future__ import annotations

__all__ = ["BOOLEANS", "CAPACITIES", "NUMBERS", "OWN", "TEXTS"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


OWN = frozenset(
    {
        "enable_rpc_service",
        "enable_rpc_tls",
        "log_restore_source",
        "server_create_time",
        "server_role_info",
        "rpc_client_authentication_method",
        "rpc_server_authentication_method",
        "enable_rpc_authentication_bypass",
    }
)
"""Set by oboe: the channel between the databases, and who is what."""

CAPACITIES = _names(
    """
    cache_wash_threshold datafile_maxsize datafile_next datafile_size dtl_buffer_size kvcache_memory_limit
    lob_enable_block_cache_threshold log_disk_size memory_budget memory_chunk_cache_size memstore_memory_limit px_task_size
    range_optimizer_max_mem_size stack_size syslog_disk_size syslog_io_bandwidth_limit tablet_size temporary_file_max_disk_size
    vector_memory_limit
    """
)

NUMBERS = _names(
    """
    bf_cache_miss_count_threshold builtin_db_data_verify_cycle clog_io_isolation_mode compaction_dag_cnt_limit
    compaction_high_thread_score compaction_low_thread_score compaction_mid_thread_score compaction_schedule_tablet_batch_cnt cpu_count
    cpu_quota_concurrency datafile_disk_percentage data_disk_usage_limit_percentage data_disk_write_limit_percentage ddl_thread_score
    default_progressive_merge_num diag_syslog_per_error_limit disk_io_thread_count freeze_trigger_percentage job_queue_processes
    json_document_max_depth log_disk_percentage log_disk_throttling_percentage log_disk_utilization_limit_threshold
    log_disk_utilization_threshold major_compact_trigger max_partition_num max_string_print_length max_syslog_file_count
    micro_block_merge_verify_level minor_compact_trigger model_max_retries net_thread_count ob_encoding_granularity
    ob_vector_memory_limit_percentage open_cursors optimizer_index_cost_adj px_workers_per_cpu_quota query_memory_limit_percentage
    row_compaction_update_limit server_cpu_quota_max server_cpu_quota_min server_task_queue_size sql_net_thread_count
    storage_high_thread_score storage_rowsets_size syslog_file_uncompressed_count sync_io_thread_count sys_bkgd_net_percentage
    tablet_meta_table_scan_batch_count tcp_keepcnt undo_retention workers_per_cpu_quota writing_throttling_trigger_percentage
    """
)

BOOLEANS = _names(
    """
    enable_async_syslog enable_ddl enable_early_lock_release enable_lock_priority enable_major_freeze enable_monotonic_weak_read
    enable_perf_event enable_record_trace_id enable_record_trace_log enable_rich_error_msg enable_sql_operator_dump
    enable_sys_table_ddl enable_tcp_keepalive ob_enable_batched_multi_statement ssl_client_authentication strict_check_os_params
    use_ipv6 vector_index_memory_saving_mode
    """
)

TEXTS = _names(
    """
    clog_sync_time_warn_threshold data_storage_warning_tolerance_time dead_socket_detection_timeout debug_sync_timeout
    default_compress_func default_row_format default_table_organization internal_sql_execute_timeout location_cache_refresh_sql_timeout
    log_disk_throttling_maximum_duration log_storage_warning_tolerance_time major_freeze_duty_time
    max_stale_time_for_weak_consistency merger_check_interval model_request_timeout ob_compaction_schedule_interval
    ob_event_history_recycle_interval ob_ssl_invited_common_names plan_cache_evict_interval recyclebin_object_expire_time rpc_timeout
    schema_history_expire_time schema_history_recycle_interval shared_log_retention spill_compression_codec
    sql_protocol_min_tls_version syslog_compress_func syslog_level tablet_meta_table_check_interval tcp_keepidle tcp_keepintvl
    trace_log_slow_query_watermark trx_commit_retry_interval vector_index_optimize_duty_time weak_read_version_refresh_interval
    workarea_size_policy writing_throttling_maximum_duration
    """
)
"""Times, words and moments: seekdb checks them itself when it starts."""
