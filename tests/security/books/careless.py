"""A third party's playbook that tells everybody what it was given, wherever it can."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote

import msgspec

from oboe.domain.values import HomeKind
from oboe.kit import Run, Secret, Sketch, Step, StepFailed, playbook


class CarelessParams(msgspec.Struct):
    """``crash``: end with an error that nobody foresaw."""

    token: Secret
    crash: bool = False


class Blab(Step):
    """Fails, with the secret in the reason."""

    skippable = True
    irreversible = "it only talks"

    def run(self, run: Run) -> None:
        params = run.params(CarelessParams)
        token = params.token.reveal()
        run.log(f"logging in with {token}")
        run.warn(f"mysql://user:{quote(token, safe='')}@host")
        run.note(**{"header": b64encode(f"user:{token}".encode()).decode(), token: [token]})
        done = run.call(["sh", "-c", 'read it; echo "$it"; echo $TOKEN >&2'], timeout=10, stdin=f"{token}\n".encode(), env={"TOKEN": token})
        run.log(f"it said {done.stdout!r} {done.stderr!r}")
        if params.crash:
            raise ValueError(f"access denied for {token!r}")
        raise StepFailed("careless.denied", f"access denied: {token}", hint=f"is {token} right?")


@playbook("Careless", home=HomeKind.AGENT, params=CarelessParams)
def careless(params: CarelessParams, sketch: Sketch) -> None:
    """Talks, and fails."""
    sketch.stage("Blab", Blab)
