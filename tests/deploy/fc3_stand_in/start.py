"""Serve a package of the function on a free port. `s local start` of the stand-in component runs
this.

python start.py CHECKOUT PACKAGE
"""

import asyncio
import sys

checkout, package = sys.argv[1:]
sys.path[:0] = [package, checkout]

import index  # noqa: E402
from sandbox import gateway  # noqa: E402
from sandbox.servers import Service, listen, serve  # noqa: E402

listener = listen(0)
print(f"url: http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)  # noqa: T201
service = Service(gateway.create_app(index.handler, index.initialize), listener)
asyncio.run(serve([service], asyncio.Event()))
