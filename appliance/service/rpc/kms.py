"""Kubernetes KMS v2: protobuf in, one keyring call, protobuf out."""

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.keyring import Keyring
from appliance.service import limits
from appliance.service.engines.finder import Finder
from appliance.service.keeper import Keeper
from appliance.service.rpc import answers
from appliance.service.rpc.calls import Service, service
from appliance.service.tripwire import Tripwire
from appliance.telemetry import Observer
from appliance.volume.ledger import Ledger
from proto.kmsv2 import api_pb2 as pb

VERSION = "v2"


class KeyManagement:
    """The three methods that the API server calls."""

    def __init__(
        self, keeper: Keeper, ledger: Ledger, tripwire: Tripwire, finder: Finder, observer: Observer
    ) -> None:
        self._keeper = keeper
        self._finder = finder
        self._ledger = ledger
        self._tripwire = tripwire
        self._observer = observer

    def service(self) -> Service:
        return service(
            "v2.KeyManagementService",
            {
                "Status": (pb.StatusRequest, self.status),
                "Encrypt": (pb.EncryptRequest, self.encrypt),
                "Decrypt": (pb.DecryptRequest, self.decrypt),
            },
            self._observer,
            largest=limits.REQUEST,
            message=limits.MESSAGE,
        )

    async def status(self, _request: pb.StatusRequest) -> pb.StatusResponse:
        """From the last proof, at once. Without a key to announce the reason is the error itself."""
        standing = self._keeper.standing()
        if not standing.serves or standing.keyset is None:
            raise KleidiError(standing.reason or faults.STARTING, standing.detail)
        # Whatever stands here makes the API server's /readyz and /healthz fail, so it must hurt a call.
        healthz = answers.text(standing.failing) if standing.failing else "ok"
        return pb.StatusResponse(version=VERSION, healthz=healthz, key_id=standing.keyset.primary.id)

    async def encrypt(self, request: pb.EncryptRequest) -> pb.EncryptResponse:
        wrapped = await self._keeper.call(lambda keyring: keyring.wrap(request.plaintext))
        self._ledger.wrapped(wrapped.key_id)
        return pb.EncryptResponse(ciphertext=wrapped.envelope, key_id=wrapped.key_id)

    async def decrypt(self, request: pb.DecryptRequest) -> pb.DecryptResponse:
        annotations = dict(request.annotations)

        def unwrap(keyring: Keyring) -> bytes:
            return keyring.unwrap(request.key_id, request.ciphertext, annotations)

        try:
            try:
                plaintext = await self._keeper.call(unwrap, request.key_id)
            except KleidiError as error:
                if error.fault is not faults.KEY_UNKNOWN or not await self._finder.found(request.key_id):
                    raise
                plaintext = await self._keeper.call(unwrap, request.key_id)
        except KleidiError as error:
            self._tripwire.touch(error.fault, request.key_id)
            raise
        self._ledger.unwrapped(request.key_id)
        return pb.DecryptResponse(plaintext=plaintext)
