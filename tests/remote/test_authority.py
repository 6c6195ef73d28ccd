"""What holds for the cluster's authority and what it signs."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from oboe.domain.errors import Refused
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.remote.authority import Authority, check_certificate, make_request

HERE = Address("10.0.0.7", 2886)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.make("oboe 10.0.0.1:2886")


def _ips(pem: str) -> list[str]:
    names = x509.load_pem_x509_certificate(pem.encode()).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(ip) for ip in names.value.get_values_for_type(x509.IPAddress)]


def test_a_certificate_names_the_agent_that_the_signer_chose_not_the_one_that_asked(authority: Authority) -> None:
    request, _ = make_request(Address("10.9.9.9", 1))
    pem = authority.sign(request, address=HERE, extra_ips=("127.0.0.1", "10.0.0.7"))
    subject = x509.load_pem_x509_certificate(pem.encode()).subject
    assert [attribute.value for attribute in subject] == ["10.0.0.7:2886"]
    assert _ips(pem) == ["10.0.0.7", "127.0.0.1"]


def test_a_certificate_never_outlives_its_authority(authority: Authority) -> None:
    request, _ = make_request(HERE)
    own = x509.load_pem_x509_certificate(authority.certificate_pem.encode())
    signed = x509.load_pem_x509_certificate(authority.sign(request, address=HERE).encode())
    assert signed.not_valid_after_utc == own.not_valid_after_utc
    assert not signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_loaded_authority_signs_as_the_one_that_was_made(authority: Authority) -> None:
    again = Authority.load(authority.certificate_pem, authority.key_pem)
    request, key = make_request(HERE)
    check_certificate(again.sign(request, address=HERE), key, authority.certificate_pem, address=HERE)
    assert again.fingerprint() == authority.fingerprint()
    assert len(authority.fingerprint()) == 64


def test_a_certificate_and_a_key_that_do_not_belong_together_are_refused(authority: Authority) -> None:
    with pytest.raises(Refused, match="do not belong together"):
        Authority.load(authority.certificate_pem, Authority.make("other").key_pem)


def test_a_joiner_takes_only_what_was_made_for_it(authority: Authority) -> None:
    request, key = make_request(HERE)
    pem = authority.sign(request, address=HERE)
    check_certificate(pem, key, authority.certificate_pem, address=HERE)
    others = [
        (pem, key, Authority.make("oboe 10.0.0.1:2886").certificate_pem, HERE),
        (pem, make_request(HERE)[1], authority.certificate_pem, HERE),
        (pem, key, authority.certificate_pem, Address("10.0.0.8", 2886)),
        ("nothing", key, authority.certificate_pem, HERE),
    ]
    for certificate, of_key, of_authority, address in others:
        with pytest.raises(Refused):
            check_certificate(certificate, of_key, of_authority, address=address)


def test_a_request_with_another_kind_of_key_or_a_broken_signature_is_refused(authority: Authority) -> None:
    def request_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
        built = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        return built.public_bytes(serialization.Encoding.DER)

    good = bytearray(request_of(ec.generate_private_key(ec.SECP256R1())))
    broken = good[:-1] + bytes([good[-1] ^ 1])
    small = request_of(rsa.generate_private_key(65537, 2048))
    for der in (bytes(broken), small):
        pem = x509.load_der_x509_csr(der).public_bytes(serialization.Encoding.PEM).decode()
        with pytest.raises(Refused) as caught:
            authority.sign(pem, address=HERE)
        assert caught.value.code == "authority.bad_request"
    with pytest.raises(Refused):
        authority.sign("not a request", address=HERE)


def test_a_databases_certificate_holds_its_ip_and_no_agents_name(authority: Authority) -> None:
    issued = authority.database_certificate("fd00::5")
    name = x509.load_pem_x509_certificate(issued.certificate.encode()).subject.rfc4514_string()
    assert (_ips(issued.certificate), name) == (["fd00::5"], "CN=database fd00::5")
    with pytest.raises(Refused):
        check_certificate(issued.certificate, Secret(issued.key), issued.ca, address=Address("fd00::5", 2886))
