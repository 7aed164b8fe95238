"""Where the pages listen, and how: plain HTTP on loopback alone, else by certificate or behind a named proxy.

Behind a proxy nobody else is answered: a network that reaches us past it would send sign-in codes in the clear.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class ListenError(ValueError):
    """The pages would be open to whoever listens on the line, or cannot be served like this."""


@dataclass(frozen=True)
class Listen:
    """An address of this machine, a certificate with its key, and the address of the proxy that comes first.

    `origin` is what browsers know the site by, such as https://ems.example: passkeys are bound to it.
    """

    port: int
    host: str = "127.0.0.1"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    proxy: str | None = None
    origin: str | None = None

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
        if self.origin is not None and not _is_origin(self.origin):
            raise ListenError(
                f"--origin {self.origin}: browsers bind passkeys to a name and to https; give it as"
                " https://ems.example, without a path (http://localhost:PORT on this machine)"
            )

    @property
    def known_as(self) -> str | None:
        """The origin that was given, or that of a site which only this machine can reach; None: it has no name."""
        if self.origin is None and self.host == "127.0.0.1" and self.tls_cert is None and self.proxy is None:
            return f"http://localhost:{self.port}"
        return self.origin

    def before(self, app: ASGIApp) -> ASGIApp:
        """The pages as they are served: behind a proxy, for it alone, and believing it about who asks."""
        return app if self.proxy is None else ForProxy(app, self.proxy)

    @property
    def address(self) -> str:
        """What a browser on this machine opens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls_cert is None else 'https'}://{host}:{self.port}/"

    @property
    def arguments(self) -> list[str]:
        """The same for `ems web`."""
        options = ("--tls-cert", "--tls-key", "--proxy", "--origin")
        given = zip(options, (self.tls_cert, self.tls_key, self.proxy, self.origin), strict=True)
        named = [word for option, value in given if value is not None for word in (option, str(value))]
        return ["--port", str(self.port), "--host", self.host, *named]

    @property
    def server(self) -> dict[str, Any]:
        """The same for uvicorn, which believes nobody about who asks: `before` does, and the proxy alone."""
        return {
            "host": self.host,
            "port": self.port,
            "ssl_certfile": None if self.tls_cert is None else str(self.tls_cert),
            "ssl_keyfile": None if self.tls_key is None else str(self.tls_key),
            "proxy_headers": False,
        }


class ForProxy:
    """Answers the reverse proxy at one address, and refuses everybody else."""

    def __init__(self, app: ASGIApp, proxy: str) -> None:
        self.proxy = ipaddress.ip_address(proxy)
        self._app = ProxyHeadersMiddleware(app, trusted_hosts=[proxy])  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_proxy(scope):
            await self._app(scope, receive, send)  # type: ignore[arg-type]
            return
        text = "403: these pages are for the reverse proxy that stands before them; ask at its address.\n"
        await PlainTextResponse(text, status_code=403)(scope, receive, send)

    def _is_proxy(self, scope: Scope) -> bool:
        client = scope.get("client")
        try:
            peer = ipaddress.ip_address(client[0]) if client else None
        except ValueError:
            return False
        mapped = getattr(peer, "ipv4_mapped", None)  # an IPv4 peer at an IPv6 socket
        return peer is not None and self.proxy in (peer, mapped)


def _is_origin(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        named = host != "" and not host.endswith(".")
    else:
        named = False
    plain = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    return named and plain == origin and (parts.scheme == "https" or (parts.scheme, host) == ("http", "localhost"))
