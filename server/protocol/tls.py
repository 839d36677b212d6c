"""TLS: a server's certificate, and whose clients it takes."""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format

from server.errors import invalid
from wire import config_pb2


@dataclass(frozen=True)
class Tls:
    """A server's key and certificate chain, and whose clients it takes; all PEM."""

    key: str
    certificate: str
    client_authority: str = ""
    verify_clients: bool = False

    @classmethod
    def read(cls, path: Path) -> Tls:
        """Reads an SSLConfig in protobuf's text format.

        Raises:
            OSError: the file can't be read.
            ServingError: it can't be parsed, or has no key or certificate.
        """
        try:
            config = text_format.Parse(path.read_text(), config_pb2.SSLConfig())
        except text_format.ParseError as error:
            raise invalid(
                f"Error parsing text-format tensorflow.serving.SSLConfig: {error}"
            ) from None
        if not config.server_key or not config.server_cert:
            raise invalid(f"{path}: server_key and server_cert are needed")
        return cls(config.server_key, config.server_cert, config.custom_ca, config.client_verify)

    def context(self) -> ssl.SSLContext:
        """Returns the context of a server.

        Raises:
            ServingError: key or certificate aren't usable.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:  # the standard library reads files alone
            chain = Path(folder, "chain.pem")
            chain.touch(mode=0o600)
            chain.write_text(f"{self.key}\n{self.certificate}\n")
            try:
                context.load_cert_chain(chain)
            except ssl.SSLError as error:
                raise invalid(f"TLS key or certificate can't be used: {error}") from None
        if self.client_authority:
            context.load_verify_locations(cadata=self.client_authority)
        if self.verify_clients:
            context.verify_mode = ssl.CERT_REQUIRED
        return context
