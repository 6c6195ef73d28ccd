"""How a playbook is written: `playbook`, `Step`, `Run`, `Secret`. Third-party playbooks import from here only, their tests from
`oboe.kit.testing`."""

from oboe.domain.errors import Interrupted, StepFailed
from oboe.domain.model import Maintenance
from oboe.domain.values import Address, HomeKind, MaintenanceKind
from oboe.kit.playbook import Playbook, Sketch, playbook
from oboe.kit.registry import Registry
from oboe.kit.run import Completed, Run
from oboe.kit.secret import Secret
from oboe.kit.step import Step

__all__ = [
    "Address",
    "Completed",
    "HomeKind",
    "Interrupted",
    "Maintenance",
    "MaintenanceKind",
    "Playbook",
    "Registry",
    "Run",
    "Secret",
    "Sketch",
    "Step",
    "StepFailed",
    "playbook",
]
