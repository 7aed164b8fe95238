"""Answers over UDP: taken from the right station, to the right question, whole; else nothing, or the library's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.bms.datagrams import Acknowledged, Datagrams, Denied, Odd, Peer, _Ids, question, reply

NET = 124
ACK = bytes.fromhex("810a000d010030070e0c112233")  # ComplexACK, invoke 7, ReadPropertyMultiple, four bytes of data


def test_the_pdus_of_the_standard() -> None:
    assert question(7, 14, b"ab") == bytes.fromhex("810a000c0104") + bytes([0x00, 0x05, 7, 14]) + b"ab"
    assert reply(ACK) == (7, 14, Acknowledged(bytes.fromhex("0c112233")))
    assert reply(bytes.fromhex("810a000d010050070e91029120")) == (7, 14, Denied(5, 0, bytes.fromhex("91029120")))
    assert reply(bytes.fromhex("810a0009010060 0709".replace(" ", ""))) == (7, None, Denied(6, 9))
    assert reply(bytes.fromhex("810a000901007107 04".replace(" ", ""))) == (7, None, Denied(7, 4))
    # Segment 0 of more; and an answer from network 5, station 1, behind a router.
    assert reply(bytes.fromhex("810a000e01003c0700040e112233")) == (7, 14, Odd())
    assert reply(bytes.fromhex("810a00110108000501aa30070e0c112233")) == (7, None, Odd())


@pytest.mark.parametrize(
    "what",
    [
        ACK[:-1],
        ACK + b"\x00",
        b"\x82" + ACK[1:],
        ACK[:1] + b"\x0b" + ACK[2:],  # a broadcast
        ACK[:4] + b"\x02" + ACK[5:],  # another version
        ACK[:5] + b"\x04" + ACK[6:],  # a question
        ACK[:5] + b"\x80" + ACK[6:],  # of the network layer
        ACK[:6] + b"\x00" + ACK[7:],  # a confirmed request
        ACK[:6] + b"\x31" + ACK[7:],  # a flag that a whole answer has not
        b"",
    ],
)
def test_what_is_no_answer(what: bytes) -> None:
    assert reply(what) is None


@given(st.binary(max_size=40))
def test_any_bytes_are_an_answer_or_none(noise: bytes) -> None:
    reply(noise)
    reply(ACK[:6] + noise)


class Peerless(asyncio.DatagramProtocol):
    """A socket that answers what a test says."""

    answer: Callable[[bytes], list[bytes]]
    transport: Any
    asked = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked += 1
        for message in self.answer(data):
            self.transport.sendto(message, addr)


def ack(invoke: int, data: bytes, service: int = 14) -> bytes:
    return b"\x81\x0a" + (9 + len(data)).to_bytes(2, "big") + bytes([1, 0, 0x30, invoke, service]) + data


def against(test: Callable[[Datagrams, Peerless, Peer], Awaitable[None]], timeout_s: float = 0.1) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        transport, peer = await loop.create_datagram_endpoint(Peerless, local_addr=(f"127.{NET}.8.1", 0))
        ours = await Datagrams.open(f"127.{NET}.255.1", timeout_s)
        try:
            await test(ours, peer, transport.get_extra_info("sockname"))
        finally:
            ours.close()
            transport.close()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_only_the_answer_to_this_question_is_taken() -> None:
    async def test(ours: Datagrams, peer: Peerless, where: Peer) -> None:
        peer.answer = lambda q: [
            ack(q[8] ^ 1, b"other"), ack(q[8], b"other", 12), b"noise", ack(q[8], b"right"), ack(q[8], b"twice"),
        ]  # fmt: skip
        for _ in range(300):  # past the end of the invoke ids
            assert await ours.ask(where, 14, b"") == Acknowledged(b"right")

    against(test)


def test_an_answer_from_somebody_else_is_not_taken() -> None:
    async def test(ours: Datagrams, peer: Peerless, where: Peer) -> None:
        loop = asyncio.get_running_loop()
        stranger, _ = await loop.create_datagram_endpoint(Peerless, local_addr=(f"127.{NET}.8.2", where[1]))
        home = ours._transport.get_extra_info("sockname")  # type: ignore[union-attr]

        def forge(asked: bytes) -> list[bytes]:
            stranger.sendto(ack(asked[8], b"forged"), home)
            return []

        peer.answer = forge
        with pytest.raises(TimeoutError):
            await ours.ask(where, 14, b"")
        stranger.close()

    against(test)


def test_a_lost_question_is_asked_again_once() -> None:
    async def test(ours: Datagrams, peer: Peerless, where: Peer) -> None:
        peer.answer = lambda q: [ack(q[8], b"second")] if peer.asked == 2 else []
        assert await ours.ask(where, 14, b"") == Acknowledged(b"second")
        assert peer.asked == 2

    against(test)


def test_a_late_answer_meets_no_later_question() -> None:
    """The id of a question that was given up rests: 300 questions later it has not come again."""

    async def test(ours: Datagrams, peer: Peerless, where: Peer) -> None:
        kept: list[bytes] = []
        peer.answer = lambda q: kept.append(ack(q[8], b"late")) or []  # type: ignore[func-returns-value]
        with pytest.raises(TimeoutError):
            await ours.ask(where, 14, b"")
        peer.answer = lambda q: [kept[0], ack(q[8], b"right")]
        for _ in range(300):
            assert await ours.ask(where, 14, b"") == Acknowledged(b"right")

    against(test)


def test_when_all_ids_rest_nothing_is_asked() -> None:
    ids = _Ids(resting=dict.fromkeys(range(256), 60.0))
    with pytest.raises(TimeoutError, match="all 256"):
        ids.take(1.0, set())
    assert ids.take(61.0, {1}) == 2


def test_a_question_that_nobody_waits_for_any_more_is_forgotten() -> None:
    async def test(ours: Datagrams, peer: Peerless, where: Peer) -> None:
        peer.answer = lambda q: []
        asking = asyncio.create_task(ours.ask(where, 14, b""))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert not ours._waiting

    against(test)
