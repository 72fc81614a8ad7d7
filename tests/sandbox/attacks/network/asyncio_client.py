# The same from asyncio.
import asyncio
async def main():
    await asyncio.wait_for(asyncio.open_connection("127.0.0.1", $PORT$), 2)
asyncio.run(main())
got = True


def add(a, b):
    return a + b if got else None
