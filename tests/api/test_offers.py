"""A request that a client sent twice asks the agent that is to be added twice: the second offer takes nothing from the first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.membership.handshakes import Handshakes
from oboe.remote.authority import Authority
from oboe.remote.handshake import Acceptance, OfferRequest

from .living import living


def test_what_was_offered_first_is_accepted_after_others_were_asked_for(tmp_path: Path) -> None:
    with living(tmp_path / "a") as agent:
        local = agent.agent.local
        target = Handshakes(local, agent.agent.keys.private_key_pem(), lambda: False)
        asked = OfferRequest(Address("127.0.0.1", 9), local.version)
        with ThreadPoolExecutor(4) as pool:
            offers = list(pool.map(lambda _: target.offer(asked), range(8)))
        authority = Authority.make("a cluster")
        certificate = authority.sign(offers[0].csr, address=local.address)
        given = Acceptance(
            authority.certificate_pem, certificate, Secret("00" * 32), [offers[0].member], Address("127.0.0.1", 9), Secret("t")
        )
        target.accept(given)
        assert local.text("certificate") == certificate
        assert local.secret("offered_key") is None
        after = target.offer(asked)
    assert len({_public_key(offer.csr) for offer in offers}) == 1
    assert _public_key(after.csr) != _public_key(offers[0].csr)


def _public_key(csr: str) -> object:
    from cryptography import x509

    return x509.load_pem_x509_csr(csr.encode()).public_key().public_numbers()  # type: ignore[union-attr]
