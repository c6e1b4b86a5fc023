"""Calls of the example client, for the tests: python3 client-example.py URL CALL [ARGUMENT ...]

Prints a line of JSON for each thing that the call returns or yields, or for its error.
"""

import json
import os
import sys

sys.path.insert(0, os.environ["SESSIOND_EXAMPLES"])

from client import Sessiond, SessiondError  # noqa: E402


def show(value):
    print(json.dumps(value), flush=True)


def main(url, call, *arguments):
    result = getattr(Sessiond(url, os.environ.get("SESSIOND_TOKEN")), call)(*arguments)
    for value in result if hasattr(result, "__next__") else [result]:
        show(value)


try:
    main(*sys.argv[1:])
except SessiondError as error:
    fields = {name: getattr(error, name) for name in ("code", "reason", "status", "retryable", "retry_after")}
    show({"error": str(error), **fields})
