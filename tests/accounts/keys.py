"""A passkey as a browser would have brought it."""

from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import sha256, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from accounts.models import User


def key_of(user: User, name: str = "Blue key") -> Authenticator:
    """Give somebody a key whose private half nobody has."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    key_id = f"key-{user.pk}-{name}".encode()
    attested = AttestedCredentialData.create(
        Aaguid(bytes(16)), key_id, ES256.from_cryptography_key(public)
    )
    data = AuthenticatorData.create(
        sha256(b"localhost"),
        AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.AT,
        0,
        bytes(attested),
    )
    client = CollectedClientData.create(
        CollectedClientData.TYPE.CREATE, b"challenge", "http://localhost"
    )
    credential = {
        "id": websafe_encode(key_id),
        "rawId": websafe_encode(key_id),
        "type": "public-key",
        "clientExtensionResults": {},
        "response": {
            "clientDataJSON": websafe_encode(bytes(client)),
            "attestationObject": websafe_encode(
                bytes(AttestationObject.create("none", data, {}))
            ),
        },
    }
    return Authenticator.objects.create(
        user=user, type="webauthn", data={"name": name, "credential": credential}
    )
