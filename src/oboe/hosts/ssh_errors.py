"""What can go wrong with SSH, in the words and codes of oboe.

::

    ssh.unknown_host       the name has no address
    ssh.refused            nobody listens there
    ssh.unreachable        no way to that host
    ssh.timeout            no answer in time
    ssh.host_key_changed   its key is another than the accepted one
    ssh.denied             neither key nor password are taken
    ssh.key_unreadable     the private key is none, or its passphrase is wrong
    ssh.cut                the connection ended in the middle
    ssh.protocol           it speaks something else, or no algorithm is shared
"""

from __future__ import annotations

import socket

from oboe.domain.errors import OboeError, Refused, Unreachable

__all__ = ["translated"]

_CHANGED_HINT = (
    "if that host was installed anew, compare the fingerprint there and accept it again: oboe host accept-key NAME --fingerprint SHA256:…"
)


def translated(error: Exception, target: str) -> OboeError:
    """An error of asyncssh or of the network, as one of oboe's."""
    import asyncssh

    if isinstance(error, asyncssh.PermissionDenied):
        hint = "check user, key and password; does sshd there allow that way of login?"
        return Refused("ssh.denied", f"{target} does not take user, key or password", hint=hint)
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return Refused("ssh.host_key_changed", f"{target} shows another host key than the one that was accepted", hint=_CHANGED_HINT)
    if isinstance(error, ConnectionRefusedError):
        return Unreachable("ssh.refused", f"nobody listens at {target}", hint="does sshd run there, and is this its port?")
    if isinstance(error, socket.gaierror):
        return Unreachable("ssh.unknown_host", f"{target}: {error.strerror}", hint="give an IP address or a name that this host resolves")
    if isinstance(error, TimeoutError):
        return Unreachable("ssh.timeout", f"{target} does not answer in time", hint="is the host up, and no firewall in between?")
    if isinstance(error, asyncssh.ConnectionLost | asyncssh.ChannelOpenError | ConnectionResetError | BrokenPipeError):
        return Unreachable("ssh.cut", f"the connection to {target} was cut", hint="what ran there was ended; try again")
    if isinstance(error, OSError):
        return Unreachable("ssh.unreachable", f"no way to {target}: {error.strerror or error}", hint="check address and network")
    reason = str(error) or type(error).__name__
    return Unreachable("ssh.protocol", f"no SSH session with {target}: {reason[:300]}", hint="is this the port of an SSH server?")
