"""Where the pages listen, and how: plain HTTP on loopback alone, else by certificate or behind a named proxy."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ListenError(ValueError):
    """The pages would be open to whoever listens on the line, or cannot be served like this."""


@dataclass(frozen=True)
class Listen:
    """An address of this machine, a certificate with its key, and the address of the proxy that comes first."""

    port: int
    host: str = "127.0.0.1"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    proxy: str | None = None

    def __post_init__(self) -> None:
        try:
            address = ipaddress.ip_address(self.host)
            if self.proxy is not None:
                ipaddress.ip_address(self.proxy)
        except ValueError as error:
            raise ListenError(f"{error}; give --host and --proxy as addresses, such as 10.15.1.10") from error
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ListenError("a certificate needs its key; give --tls-cert and --tls-key, or neither")
        for option, file in (("--tls-cert", self.tls_cert), ("--tls-key", self.tls_key)):
            if file is not None and not file.is_file():
                raise ListenError(f"{option}: {file} is no file; give the PEM file")
        if not address.is_loopback and self.tls_cert is None and self.proxy is None:
            raise ListenError(
                f"plain HTTP on {self.host} would show sign-in codes to the whole network; give --tls-cert and"
                " --tls-key, or the address of the reverse proxy that does TLS as --proxy, or stay on loopback"
            )

    @property
    def address(self) -> str:
        """What a browser on this machine opens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls_cert is None else 'https'}://{host}:{self.port}/"

    @property
    def arguments(self) -> list[str]:
        """The same for `ems web`."""
        given = (("--tls-cert", self.tls_cert), ("--tls-key", self.tls_key), ("--proxy", self.proxy))
        named = [word for option, value in given if value is not None for word in (option, str(value))]
        return ["--port", str(self.port), "--host", self.host, *named]

    @property
    def server(self) -> dict[str, Any]:
        """The same for uvicorn. Who asks is believed of the proxy alone, and of nobody without one."""
        return {
            "host": self.host,
            "port": self.port,
            "ssl_certfile": None if self.tls_cert is None else str(self.tls_cert),
            "ssl_keyfile": None if self.tls_key is None else str(self.tls_key),
            "proxy_headers": self.proxy is not None,
            "forwarded_allow_ips": self.proxy or "",
        }
