"""The cluster's certificate authority: who holds its key can make an agent, or a database, one of the cluster.

An agent's certificate says its address as common name (``ip:port``) and its ip as subjectAltName; that name is what a peer is known by.
A database's certificate has a common name that is no address, so it never passes for an agent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from oboe.domain.errors import Refused
from oboe.domain.values import Address
from oboe.kit.secret import Secret

__all__ = ["Authority", "Issued", "check_certificate", "make_request"]

LIFETIME = timedelta(days=3653)
"""Ten years: of the authority, and of all it signs, which never outlives it."""
CLOCK_SKEW = timedelta(days=1)
"""Certificates are valid from a day ago, because hosts' clocks differ."""
_NAME_MAX = 64
"""The longest common name (RFC 5280, ub-common-name)."""


@dataclass(frozen=True, slots=True)
class Issued:
    """PEM texts of a database's mutual TLS: authority, certificate, key."""

    ca: str
    certificate: str
    key: str


class Authority:
    """A P-256 certificate authority. Make it once for each cluster, load it where its key is kept."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def make(cls, name: str) -> Authority:
        """A new one; ``name`` is for people and is cut to 64 characters."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name[:_NAME_MAX])
        now = datetime.now(UTC)
        certificate = (
            _builder(subject, subject, key.public_key(), now - CLOCK_SKEW, now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, certificate_pem: str, key_pem: Secret) -> Authority:
        """From the texts that `certificate_pem` and `key_pem` gave. `Refused` ``authority.unreadable``."""
        certificate = _load_certificate(certificate_pem)
        key = _load_key(key_pem)
        if certificate.public_key() != key.public_key():
            raise Refused("authority.unreadable", "the authority's certificate and key do not belong together")
        return cls(certificate, key)

    @property
    def certificate_pem(self) -> str:
        return _pem(self._certificate)

    @property
    def key_pem(self) -> Secret:
        return _key_pem(self._key)

    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hex: names the cluster's authority to people."""
        return self._certificate.fingerprint(hashes.SHA256()).hex()

    def sign(self, request_pem: str, *, address: Address, extra_ips: Sequence[str] = ()) -> str:
        """The certificate of the agent at ``address``, PEM. Of the request only the key is taken.

        `Refused` ``authority.bad_request``: it is no request, not signed by its own key, or its key is no P-256 key."""
        try:
            request = x509.load_pem_x509_csr(request_pem.encode())
            key, proven = request.public_key(), request.is_signature_valid
        except (ValueError, TypeError) as error:
            raise Refused("authority.bad_request", "this is no certificate request") from error
        if not proven or not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise Refused("authority.bad_request", "a certificate request is signed by its own P-256 key")
        return _pem(self._issue(str(address), key, (address.ip, *extra_ips)))

    def database_certificate(self, ip: str) -> Issued:
        """Certificate and key of the database at ``ip``, for both directions of its replication."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._issue(f"database {ip}", key.public_key(), (ip,))
        return Issued(self.certificate_pem, _pem(certificate), _key_pem(key).reveal())

    def _issue(self, name: str, key: ec.EllipticCurvePublicKey, ips: Sequence[str]) -> x509.Certificate:
        names = [x509.IPAddress(ip_address(ip)) for ip in dict.fromkeys(ips)]
        until = self._certificate.not_valid_after_utc
        return (
            _builder(_name(name), self._certificate.subject, key, datetime.now(UTC) - CLOCK_SKEW, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def make_request(address: Address, key_pem: Secret | None = None) -> tuple[str, Secret]:
    """A certificate request for the agent at ``address`` and the key it is for, both PEM; a new key unless one is given."""
    key = ec.generate_private_key(ec.SECP256R1()) if key_pem is None else _load_key(key_pem)
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(str(address))).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode(), _key_pem(key)


def check_certificate(certificate_pem: str, key_pem: Secret, authority_pem: str, *, address: Address) -> None:
    """What a joiner asks before it takes a certificate: is it of this authority, for this key, in this name?

    `Refused` ``authority.wrong_certificate``, or ``authority.unreadable``."""
    certificate, authority = _load_certificate(certificate_pem), _load_certificate(authority_pem)
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise Refused("authority.wrong_certificate", "the certificate is not of the authority that came with it") from error
    if certificate.public_key() != _load_key(key_pem).public_key():
        raise Refused("authority.wrong_certificate", "the certificate is for another key")
    names = [attribute.value for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [str(address)]:
        raise Refused("authority.wrong_certificate", f"the certificate is for {names}, not for {address}")


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> Secret:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Secret(pem.decode())


def _load_certificate(pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise Refused("authority.unreadable", "this is no certificate") from error


def _load_key(pem: Secret) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.reveal().encode(), password=None)
    except (ValueError, TypeError) as error:
        raise Refused("authority.unreadable", "this is no private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Refused("authority.unreadable", "this is no P-256 key")
    return key
