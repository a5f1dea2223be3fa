"""Opening the socket of one connection: TCP, Unix domain or TLS.

A plain socket blocks in the kernel, with the kernel's own time limits. Python's ``settimeout``
would poll before every send and receive, and each of those gives up the interpreter lock, which a
thread beside busy user code gets back only milliseconds later. Where the kernel's limits cannot be
used (TLS, sockets of gevent, Windows) ``settimeout`` it is.
"""

from __future__ import annotations

import _socket
import os
import socket
import struct
import sys
from errno import ECONNREFUSED
from typing import TYPE_CHECKING, Any, Final

from umbel.drivers.redis.address import Address
from umbel.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    import ssl

__all__ = ["limit_by_kernel", "open_socket", "prepare_socket", "set_limit", "tls_context"]

#: redis-py's defaults: a silent peer is noticed within 45 seconds.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


def open_socket(address: Address, timeout: float) -> socket.socket:
    """Connect within ``timeout`` seconds, or raise ``OSError``. The time limit of what follows is
    not set yet."""
    if address.path is not None:
        return _open_unix(address.path, timeout)
    plain = socket.create_connection((address.host, address.port), timeout)
    try:
        prepare_socket(plain, address)
        if address.tls is None:
            return plain
        return tls_context(address).wrap_socket(plain, server_hostname=address.host)
    except BaseException:
        plain.close()
        raise


def prepare_socket(connected: Any, address: Address) -> None:
    """What every TCP connection is given, also one that belongs to an event loop."""
    _check_peer(connected)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if address.keepalive:
        _keep_alive(connected, address.keepalive_options)


def limit_by_kernel(connected: socket.socket) -> bool:
    """Whether ``set_limit`` may leave the time limit to the kernel."""
    return (
        sys.platform != "win32"
        and isinstance(connected, _socket.socket)
        and not hasattr(connected, "pending")
    )


def set_limit(connected: socket.socket, seconds: float, *, by_kernel: bool) -> None:
    """The most seconds that one send or receive may take from now on."""
    if not by_kernel:
        connected.settimeout(seconds)
        return
    whole = int(seconds)
    micros = int((seconds - whole) * 1e6)
    value = struct.pack("@ll", whole, max(micros, 0 if whole else 1000))
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)


def _open_unix(path: str, timeout: float) -> socket.socket:
    local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        local.settimeout(timeout)
        local.connect(path)
    except BaseException:
        local.close()
        raise
    return local


def _check_peer(connected: socket.socket) -> None:
    """Nobody listens, and the system happened to choose the very port for our own end: that makes a
    connection, which would take every command for its answer."""
    if connected.getsockname() == connected.getpeername():
        raise ConnectionRefusedError(ECONNREFUSED, os.strerror(ECONNREFUSED))


def _keep_alive(connected: socket.socket, options: dict[int, int]) -> None:
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    defaults = {getattr(socket, name, None): value for name, value in _KEEPALIVE.items()}
    for option, value in (options or defaults).items():
        if option is not None:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)


def tls_context(address: Address) -> ssl.SSLContext:
    """How to encrypt; options as redis-py and Celery name them."""
    import ssl  # costs 8 ms and is seldom needed

    options = address.tls or {}
    context = ssl.create_default_context(
        cafile=options.get("ssl_ca_certs"),
        capath=options.get("ssl_ca_path"),
        cadata=options.get("ssl_ca_data"),
    )
    mode = _certificates(options.get("ssl_cert_reqs", "required"), ssl)
    check_name = options.get("ssl_check_hostname", mode == ssl.CERT_REQUIRED)
    if str(check_name).lower() in ("false", "0", "no"):
        check_name = False
    context.check_hostname = bool(check_name) and mode != ssl.CERT_NONE
    context.verify_mode = mode
    if options.get("ssl_certfile") or options.get("ssl_keyfile"):
        context.load_cert_chain(
            certfile=options.get("ssl_certfile") or options["ssl_keyfile"],
            keyfile=options.get("ssl_keyfile"),
            password=options.get("ssl_password"),
        )
    if options.get("ssl_ciphers"):
        context.set_ciphers(options["ssl_ciphers"])
    if options.get("ssl_min_version"):
        context.minimum_version = ssl.TLSVersion(int(options["ssl_min_version"]))
    return context


def _certificates(value: Any, ssl_module: Any) -> ssl.VerifyMode:
    """``required``, ``CERT_REQUIRED``, ``ssl.CERT_REQUIRED``, … as one of the last."""
    modes: dict[Any, ssl.VerifyMode] = {
        "none": ssl_module.CERT_NONE,
        "optional": ssl_module.CERT_OPTIONAL,
        "required": ssl_module.CERT_REQUIRED,
    }
    name = "none" if value is None else getattr(value, "name", str(value))
    found = modes.get(name.lower().removeprefix("cert_"))
    if found is None:
        raise ImproperlyConfigured(
            f"ssl_cert_reqs must be one of {', '.join(modes)}, not {value!r}"
        )
    return found
