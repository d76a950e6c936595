"""Clients that cost an SMTP server as much as they can, in a separate process.

    python -m tests.support.abusive_clients PORT COUNT

Each client trickles bytes, idles, repeats NOOP, or sends lines of 64 kB until the server disconnects it. The process
prints one line when all clients have tried to connect, and runs until it is killed.
"""

import asyncio
import sys
from contextlib import suppress


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not reader.at_eof():
        writer.write(b"E")
        await writer.drain()
        await asyncio.sleep(0.2)


async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1024):
        pass


async def noop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"EHLO hostile.example\r\n")
    while await reader.readline():
        writer.write(b"NOOP\r\n")
        await asyncio.sleep(0.05)


async def long_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not reader.at_eof():
        writer.write(b"x" * (64 << 10) + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)


BEHAVIOURS = (trickle, idle, noop, long_lines)


async def attack(port: int, number: int, connected: asyncio.Semaphore) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        finally:
            connected.release()
        try:
            await BEHAVIOURS[number % len(BEHAVIOURS)](reader, writer)
        finally:
            writer.close()


async def main(port: int, count: int) -> None:
    connected = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(attack(port, number, connected))
        for _ in range(count):
            await connected.acquire()
        print(f"{count} connections", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
