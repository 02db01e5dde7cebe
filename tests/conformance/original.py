"""A stand-in for the original kleidi: its token, its bytes, its answers (internal/providers/pkcs11.go)."""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proto.kmsv2 import api_pb2 as pb
from proto.kmsv2 import api_pb2_grpc
from softhsm import Library
from tests.token.foreign_program import ForeignProgram

LABEL = "kleidi-kms-plugin"
ANNOTATION = "v2.kleidi.beezy.dev"


class OriginalKleidi(api_pb2_grpc.KeyManagementServiceServicer):
    """Serves on *socket* while it is entered; *tokens* stays when it has gone."""

    def __init__(self, directory: Path) -> None:
        self.tokens = directory / "tokens"
        self.tokens.mkdir()
        library = Library.find()
        program = ForeignProgram(library, self.tokens)
        program.keygen(program.init_token("kleidi"), LABEL)
        library.unload()
        # Its key lies in the clear, which spares the stand-in a token of its own to open.
        self._key = AESGCM(program.value())
        self._room = Path(tempfile.mkdtemp(prefix="kleidi-original-"))
        self.socket = self._room / "kms.sock"

    def __enter__(self) -> Self:
        self._server = grpc.server(ThreadPoolExecutor(8))
        api_pb2_grpc.add_KeyManagementServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"unix:{self.socket}")
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(1).wait()
        shutil.rmtree(self._room)

    def Status(self, request: pb.StatusRequest, context: object) -> pb.StatusResponse:  # noqa: ARG002, N802
        return pb.StatusResponse(version="v2", healthz="ok", key_id=LABEL)

    def Encrypt(self, request: pb.EncryptRequest, context: object) -> pb.EncryptResponse:  # noqa: ARG002, N802
        nonce = os.urandom(12)
        sealed = nonce + self._key.encrypt(nonce, request.plaintext, LABEL.encode())
        return pb.EncryptResponse(ciphertext=sealed, key_id=LABEL, annotations={ANNOTATION: b"1"})

    def Decrypt(self, request: pb.DecryptRequest, context: grpc.ServicerContext) -> pb.DecryptResponse:  # noqa: N802
        if request.key_id != LABEL or dict(request.annotations) != {ANNOTATION: b"1"}:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not mine")
        try:
            nonce, rest = request.ciphertext[:12], request.ciphertext[12:]
            return pb.DecryptResponse(plaintext=self._key.decrypt(nonce, rest, LABEL.encode()))
        except InvalidTag:
            context.abort(grpc.StatusCode.INTERNAL, "message authentication failed")
