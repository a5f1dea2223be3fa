"""Keys that the settings made of named options know, and which of them have an effect.

A key maps to the reason why it has none, or to an empty string where Umbel acts on it.
"""

from __future__ import annotations

__all__ = ["BROKER_TRANSPORT", "PUBLISH_RETRY", "RESULT_TRANSPORT"]

_LOANS = "a loan ends when its worker is dead, not after a time"
_LOCKS = "Umbel keeps loans under keys of its own"
_LISTS = "set redis_priority_order instead"
_WOKEN = "workers are woken by the broker"
_DRIVER = "the Redis driver decides it"
_FOREIGN = "it belongs to a broker that Umbel does not have"
_SENTINEL = "Umbel connects to one Redis server, not to sentinels"
_BROADCAST = "Umbel broadcasts nothing through Redis"
_DEADLINE = "publish_timeout bounds all attempts together"

#: Redis and whatever else Celery's transports know.
BROKER_TRANSPORT = {
    "global_keyprefix": "",
    "visibility_timeout": _LOANS,
    "ack_emulation": _LOANS,
    "unacked_key": _LOCKS,
    "unacked_index_key": _LOCKS,
    "unacked_mutex_key": _LOCKS,
    "unacked_mutex_expire": _LOCKS,
    "unacked_restore_interval": _LOANS,
    "unacked_restore_limit": _LOANS,
    "unacked_restore_throttle": _LOANS,
    "priority_steps": _LISTS,
    "sep": _LISTS,
    "queue_order_strategy": _LISTS,
    "fanout_patterns": _BROADCAST,
    "fanout_prefix": _BROADCAST,
    "polling_interval": _WOKEN,
    "wait_time_seconds": _WOKEN,
    "socket_timeout": "set redis_socket_timeout instead",
    "socket_connect_timeout": "set redis_socket_connect_timeout instead",
    "socket_keepalive": "set redis_socket_keepalive instead",
    "socket_keepalive_options": _DRIVER,
    "retry_on_timeout": _DRIVER,
    "health_check_interval": _DRIVER,
    "reauth_check_interval": _DRIVER,
    "max_connections": _DRIVER,
    "client_name": _DRIVER,
    "credential_provider": _DRIVER,
    "master_name": _SENTINEL,
    "min_other_sentinels": _SENTINEL,
    "sentinel_kwargs": _SENTINEL,
    "sentinel_fanout_compat": _SENTINEL,
    "deadletter_queue": "dead letters have a place of their own",
    "body_encoding": "bodies are always base64",
    "max_retries": _DEADLINE,
    "interval_start": _DEADLINE,
    "interval_step": _DEADLINE,
    "interval_max": _DEADLINE,
    "confirm_publish": "every publish is confirmed",
    "login_method": _FOREIGN,
    "client_properties": _FOREIGN,
    "heartbeat": _FOREIGN,
    "region": _FOREIGN,
    "queue_name_prefix": _FOREIGN,
    "predefined_queues": _FOREIGN,
    "is_secure": _FOREIGN,
    "sts_role_arn": _FOREIGN,
    "data_folder_in": _FOREIGN,
    "data_folder_out": _FOREIGN,
    "processed_folder": _FOREIGN,
    "store_processed": _FOREIGN,
    "control_folder": _FOREIGN,
}

RESULT_TRANSPORT = {
    "global_keyprefix": "",
    "visibility_timeout": "results are not lent",
    "master_name": _SENTINEL,
    "min_other_sentinels": _SENTINEL,
    "sentinel_kwargs": _SENTINEL,
    "retry_policy": _DRIVER,
    "socket_timeout": "set redis_socket_timeout instead",
    "socket_connect_timeout": "set redis_socket_connect_timeout instead",
    "socket_keepalive": "set redis_socket_keepalive instead",
    "socket_keepalive_options": _DRIVER,
    "retry_on_timeout": _DRIVER,
    "health_check_interval": _DRIVER,
    "max_connections": _DRIVER,
    "client_name": _DRIVER,
    "credential_provider": _DRIVER,
    "result_chord_ordered": "results of a group are always kept in order",
}

PUBLISH_RETRY = {
    "max_retries": "",
    "interval_start": "",
    "interval_step": "",
    "interval_max": "",
    "retry_errors": "only a lost connection is tried again",
    "errback": "Umbel calls nothing between two attempts",
}
